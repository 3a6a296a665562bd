// How a service's requests went in the last minutes, a line for each version: first from the history, then from every sample.
const HEIGHT = 150, LEFT = 34, RIGHT = 66, TOP = 12, BOTTOM = 20, SECONDS = 300;
const SVG = "http://www.w3.org/2000/svg";

const short = (value) => value.toLocaleString("en", { maximumFractionDigits: value >= 10 ? 0 : 1 });

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// The next of 1, 2, 5, 10, 20 ... that is not below the value.
function ceiling(value) {
  const unit = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((step) => step * unit).find((step) => step >= value);
}

class Course {
  constructor(svg) {
    this.svg = svg;
    this.service = svg.dataset.course;
    this.versions = svg.dataset.versions.split(" ");
    this.points = [];
  }

  async load() {
    const answer = await fetch(`/api/v1/apps/${encodeURIComponent(this.svg.dataset.app)}/history?seconds=${SECONDS}`);
    if (!answer.ok) return;
    const history = await answer.json();
    const mine = history.edges.filter((edge) => edge.target === this.service);
    this.points = history.at.map((at, index) => ({ at, length: history.length[index], rates: this.rates(mine, (edge) => edge.rate[index]) }));
    this.draw();
  }

  rates(edges, figure) {
    return this.versions.map((version) => edges.filter((edge) => edge.version === version).reduce((sum, edge) => sum + figure(edge), 0));
  }

  add(graph) {
    const at = Date.now() / 1000;
    const mine = graph.edges.filter((edge) => edge.target === this.service || edge.target === `${this.service}/${edge.version}`);
    this.points.push({ at, length: at - (this.points.at(-1)?.at ?? at), rates: this.rates(mine, (edge) => edge.rate) });
    this.points = this.points.filter((point) => point.at > at - SECONDS);
    this.draw();
  }

  // Each version's share of the requests of the last minute; null where there were none.
  shares() {
    const now = this.points.at(-1)?.at ?? 0;
    const recent = this.points.filter((point) => point.at > now - 60);
    const counts = this.versions.map((_, index) => recent.reduce((sum, point) => sum + point.rates[index] * point.length, 0));
    const total = counts.reduce((sum, count) => sum + count, 0);
    return counts.map((count) => (total ? count / total : null));
  }

  draw() {
    const { label, silent, ago, now } = this.svg.dataset;
    const width = Math.max(280, this.svg.clientWidth);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const end = this.points.at(-1)?.at ?? 0;
    const most = Math.max(0, ...this.points.flatMap((point) => point.rates));
    const top = ceiling(most);
    const x = (at) => LEFT + ((at - end + SECONDS) / SECONDS) * (width - LEFT - RIGHT);
    const y = (rate) => HEIGHT - BOTTOM - (rate / top) * (HEIGHT - TOP - BOTTOM);
    const parts = [0, top / 2, top].flatMap((rate) => [
      element("path", { class: "grid", d: `M${LEFT} ${y(rate)}H${width - RIGHT}` }),
      element("text", { class: "sub tick", x: LEFT - 6, y: y(rate) + 4 }, short(rate)),
    ]);
    parts.push(element("text", { class: "sub", x: LEFT, y: HEIGHT - 4 }, ago), element("text", { class: "sub tick", x: width - RIGHT, y: HEIGHT - 4 }, now));
    if (most === 0) parts.push(element("text", { class: "sub middle", x: (LEFT + width - RIGHT) / 2, y: HEIGHT / 2 }, silent));
    const ends = [];
    this.versions.forEach((version, index) => {
      if (!this.points.length) return;
      const line = this.points.map((point) => `${x(point.at).toFixed(1)} ${y(point.rates[index]).toFixed(1)}`).join("L");
      parts.push(element("path", { class: `line c${index % 4}`, d: `M${line}` }));
      ends.push({ version, rate: this.points.at(-1).rates[index] });
    });
    parts.push(...this.labels(ends, y, width));
    this.svg.setAttribute("aria-label", `${label}: ${ends.map(({ version, rate }) => `${version} ${short(rate)}/s`).join(", ")}`);
    this.svg.replaceChildren(...parts);
    this.share();
  }

  // At the ends of the lines, moved apart where they would stand on each other.
  labels(ends, y, width) {
    let lowest = -Infinity;
    return [...ends].sort((a, b) => y(a.rate) - y(b.rate)).map(({ version, rate }) => {
      lowest = Math.max(y(rate) + 4, lowest + 13);
      return element("text", { class: "sub end", x: width - RIGHT + 6, y: lowest }, `${version} ${short(rate)}/s`);
    });
  }

  share() {
    const form = this.svg.closest("form");
    this.shares().forEach((share, index) => {
      const cell = form?.querySelector(`[data-share="${this.versions[index]}"]`);
      if (cell) cell.textContent = share === null ? "–" : `${(share * 100).toFixed(1)}%`;
    });
  }
}

export function chart() {
  const courses = [...document.querySelectorAll("svg[data-course]")].map((svg) => new Course(svg));
  for (const course of courses) course.load();
  addEventListener("resize", () => courses.forEach((course) => course.draw()));
  document.addEventListener("graph", (event) => courses.forEach((course) => course.add(event.detail)));
}
