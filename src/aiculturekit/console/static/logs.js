// Log lines: new ones are added while they come, filtered by text and level, and held while paused.
const MOST = 2000;
const rank = { debug: 0, info: 1, warning: 2, error: 3 };

function line(record) {
  const item = document.createElement("li");
  item.className = record.level;
  const time = Object.assign(document.createElement("time"), { dateTime: record.at, title: record.at, textContent: record.at.slice(11, 19) });
  const name = Object.assign(document.createElement("b"), { textContent: record.workload });
  const text = Object.assign(document.createElement("span"), { textContent: record.message });
  for (const [key, value] of Object.entries(record.fields)) {
    text.append(" ", Object.assign(document.createElement("i"), { textContent: `${key}=${typeof value === "object" ? JSON.stringify(value) : value}` }));
  }
  item.append(time, name, text);
  return item;
}

export function follow() {
  const holder = document.querySelector("[data-follow]");
  if (!holder) return;
  const list = document.getElementById("log");
  const [filter, level, pause] = ["log-filter", "log-level", "log-pause"].map((id) => document.getElementById(id));
  const held = [];
  let paused = false;

  const fits = (item) => item.textContent.toLowerCase().includes(filter.value.toLowerCase()) && (!level?.value || rank[item.className] >= rank[level.value]);
  const refilter = () => { for (const item of list.children) item.hidden = !fits(item); };
  const add = (record) => {
    const low = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    const item = line(record);
    item.hidden = !fits(item);
    list.append(item);
    while (list.children.length > MOST) list.firstElementChild.remove();
    if (low) list.scrollTop = list.scrollHeight;
  };

  filter.addEventListener("input", refilter);
  level?.addEventListener("change", refilter);
  document.getElementById("log-workload")?.addEventListener("change", (event) => event.target.form.submit());
  const [stop, go] = [pause.textContent, pause.dataset.go];
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", paused);
    pause.textContent = paused ? go : stop;
    if (!paused) held.splice(0).forEach(add);
  });
  list.scrollTop = list.scrollHeight;
  new EventSource(holder.dataset.follow).addEventListener("log", (event) => {
    const record = JSON.parse(event.data);
    if (paused) held.push(record);
    else add(record);
    if (held.length > MOST) held.shift();
  });
}
