// A delivery under way: its figures with every look, and the form that starts one.
import { call } from "./api.js";
import { confirm } from "./actions.js";

// `say` are the formats of the page's other figures: number, percent, milliseconds, and set (which writes only what changed).
export function showDelivery(view, { number, percent, milliseconds, set }) {
  const panel = document.querySelector(`[data-delivery="${view.app}"]`);
  if (!panel) return;
  set(panel.querySelector("[data-sentence]"), view.sentence);
  for (const row of view.figures) {
    const cells = panel.querySelector(`[data-figure="${row.side} ${row.service}"]`)?.cells;
    const weight = row.side === "new" ? view.weight : 100 - view.weight;
    [`${weight}%`, number(row.requests), number(row.rate), percent(row.error_rate), ...[row.p50_ms, row.p95_ms, row.p99_ms].map(milliseconds)].forEach((text, at) => set(cells?.[at + 1], text));
  }
}

export function deliver() {
  for (const form of document.querySelectorAll("form[data-deliver]")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const { canary, every, slo } = Object.fromEntries(new FormData(form));
      const { question, yes, deliver: url, file, environment } = form.dataset;
      const body = { file, environment, canary, every, slo };
      confirm(question.replace("#1", canary).replace("#2", slo), yes, async () => { await call("POST", url, body); });
    });
  }
}
