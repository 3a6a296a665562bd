// Live state: figures of the graph come with every sample; when something changed, the page's live parts are fetched anew.
import { amount } from "./api.js";
import { showDelivery } from "./deliveries.js";

const app = document.body.dataset.app;
const status = document.getElementById("live");

const number = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en", { maximumFractionDigits: value >= 100 ? 0 : 1 }));
const milliseconds = (value) => (value === null || value === undefined ? "–" : `${number(value)} ms`);
const percent = (value) => `${((value ?? 0) * 100).toFixed(2)}%`;
const set = (node, text) => { if (node && node.textContent !== text) node.textContent = text; };

// What is the matter with an edge, in the words that the page brought along.
function troubles(edge, words) {
  return Object.entries(words).filter(([figure]) => edge[figure]).map(([figure, text]) =>
    text.replace("##", edge.hosts).replace("#", figure.endsWith("_rate") ? edge[figure].toFixed(1) : edge[figure]));
}

function showLine(svg, path, mark, edge, words) {
  const held = edge.breaker_open || edge.ejected > 0;
  const classes = { busy: edge.rate > 0, w2: edge.rate >= 10 && edge.rate < 100, w3: edge.rate >= 100, held, bad: !held && edge.error_rate > 0.01 };
  for (const [name, on] of Object.entries(classes)) path?.classList.toggle(name, on);
  const figures = [`${number(edge.rate)}/s`, percent(edge.error_rate), ...["p50", "p95", "p99"].map((name) => `${name} ${milliseconds(edge[`${name}_ms`])}`)];
  const tcp = () => svg.dataset.tcp.replace("{open}", edge.connections).replace("{rate}", number(edge.rate)).replace("{received}", amount(edge.received_rate)).replace("{sent}", amount(edge.sent_rate));
  if (edge.meshed && edge.protocol === "tcp") set(path?.querySelector("title"), `${edge.source} → ${edge.target}: ${[tcp(), ...troubles(edge, words)].join(", ")}`);
  else if (edge.meshed) set(path?.querySelector("title"), `${edge.source} → ${edge.target}: ${[...figures, ...troubles(edge, words)].join(", ")}`);
  set(mark, edge.breaker_open ? svg.dataset.open : edge.ejected ? `⊘ ${edge.ejected}/${edge.hosts}` : "");
}

function showRow(row, edge, words) {
  const times = edge.protocol === "tcp" ? [] : [edge.p50_ms, edge.p95_ms, edge.p99_ms].map(milliseconds);
  [number(edge.rate), percent(edge.error_rate), ...times].forEach((text, at) => set(row.cells[at + 2], text));
  set(row.querySelector(".trouble"), troubles(edge, words).join(", ") || "–");
}

function showGraph(graph) {
  const svg = document.getElementById("graph");
  const entering = graph.edges.filter((edge) => edge.source === "ingress");
  const rate = entering.reduce((sum, edge) => sum + edge.rate, 0);
  set(document.getElementById("tile-rate"), `${number(rate)}/s`);
  set(document.getElementById("tile-errors"), percent(rate ? entering.reduce((sum, edge) => sum + edge.rate * edge.error_rate, 0) / rate : 0));
  const slow = entering.map((edge) => edge.p95_ms).filter((value) => value !== null);
  set(document.getElementById("tile-p95"), milliseconds(slow.length ? Math.max(...slow) : null));
  if (svg && shape(graph) !== svg.dataset.nodes + "|" + svg.dataset.edges.trim()) return redraw();
  const table = document.getElementById("edges");
  const words = JSON.parse((svg ?? table)?.dataset.words ?? "{}");
  for (const edge of graph.edges) {
    const name = `${edge.source}>${edge.target}`;
    if (svg) showLine(svg, svg.querySelector(`[data-edge="${name}"]`), svg.querySelector(`[data-mark="${name}"]`), edge, words);
    const row = table?.querySelector(`[data-edge="${name}"]`);
    if (row && edge.meshed) showRow(row, edge, words);
  }
  for (const node of graph.nodes) {
    if (node.kind === "resource" && svg) {
      const open = graph.edges.filter((edge) => edge.target === node.id).reduce((sum, edge) => sum + edge.connections, 0);
      set(svg.querySelector(`[data-node="${node.id}"] .sub`), `${node.version}${open ? ` · ${svg.dataset.connected.replace("{count}", open)}` : ""}`);
    }
    if (node.kind !== "service" || node.state !== "ready") continue;
    const text = svg?.querySelector(`[data-node="${node.id}"] .sub`);
    set(text, `${node.weight === null ? "" : `${node.weight}% · `}${number(node.rate)}/s · ${milliseconds(node.p95_ms)}`);
  }
}

const shape = (graph) => graph.nodes.map((node) => node.id).join(" ") + "|" + graph.edges.map((edge) => `${edge.source}>${edge.target}`).join(" ");

async function redraw() {
  const holder = document.getElementById("topology");
  const answer = holder && (await fetch(`/apps/${holder.dataset.app}/topology`));
  if (answer?.ok) holder.replaceChildren(new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("graph"));
}

// What the server would render now takes the place of what stands there, part by part, unless somebody is typing in it.
async function refresh() {
  const answer = await fetch(location.href);
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const news = fresh.querySelectorAll("[data-live]");
  document.querySelectorAll("[data-live]").forEach((part, at) => {
    if (news[at] && !part.contains(document.activeElement) && part.innerHTML !== news[at].innerHTML) part.replaceChildren(...news[at].childNodes);
  });
  await redraw();
}

export function listen() {
  let due = 0;
  const soon = () => { due ||= setTimeout(() => { due = 0; refresh(); }, 300); };
  const source = new EventSource(`/api/v1/events${app ? `?app=${encodeURIComponent(app)}` : ""}`);
  source.onopen = () => set(status, "");
  source.onerror = () => set(status, status.dataset.lost);
  source.addEventListener("graph", (event) => {
    const { graph } = JSON.parse(event.data);
    showGraph(graph);
    document.dispatchEvent(new CustomEvent("graph", { detail: graph }));
  });
  source.addEventListener("delivery", (event) => showDelivery(JSON.parse(event.data), { number, percent, milliseconds, set }));
  const every = Number(document.querySelector("[data-every]")?.dataset.every ?? 0); // what a cluster does, nobody tells us
  if (every) setInterval(() => { if (!document.hidden && !document.querySelector("dialog[open]")) soon(); }, every * 1000);
  for (const kind of ["changed", "change", "refusal"]) source.addEventListener(kind, soon);
}
