// A resource's page: a question that only reads, things to search and to open. Everything that comes from a server is text, never markup.
import { amount, call } from "./api.js";

const element = (name, text, className) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
};

function table(answer) {
  const made = element("table");
  const head = made.createTHead().insertRow();
  for (const column of answer.columns) head.append(element("th", column.name, column.is_number ? "n" : ""));
  const body = made.createTBody();
  for (const row of answer.rows) {
    const line = body.insertRow();
    row.forEach((cell, at) => {
      const made = element("td", cell ?? "NULL", answer.columns[at].is_number ? "n" : "");
      if (cell === null) made.classList.add("null");
      line.append(made);
    });
  }
  return made;
}

function asking(form) {
  const result = form.nextElementSibling;
  const error = form.querySelector(".error");
  const output = form.querySelector("output");
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    error.textContent = output.value = "";
    result.replaceChildren();
    const started = performance.now();
    try {
      const answer = await call("POST", form.dataset.ask, { statement: form.elements.statement.value, database: form.elements.database?.value ?? "" });
      result.replaceChildren(answer.columns.length ? table(answer) : element("p", form.dataset.none, "none"));
      const time = Math.round(performance.now() - started);
      output.value = answer.is_cut ? form.dataset.cut.replace("#", answer.rows.length) : form.dataset.took.replace("##", time).replace("#", answer.rows.length);
    } catch (trouble) {
      error.textContent = trouble.message;
    }
    button.disabled = false;
  });
}

function cell(row, [key, , kind]) {
  const value = row[key];
  const numeric = ["number", "ms", "amount"].includes(kind);
  const made = element("td", undefined, numeric ? "n" : "");
  if (value === null || value === "" || value === undefined) made.textContent = "–";
  else if (kind === "name") {
    const button = element("button", value, "plain");
    button.type = "button";
    button.dataset.open = row.name;
    made.append(button);
  } else made.textContent = kind === "amount" ? amount(value) : kind === "when" ? new Date(value).toLocaleString(document.documentElement.lang) : value;
  return made;
}

function leafing(section) {
  const { items, what } = section.dataset;
  const opened = section.querySelector(".opened");
  const show = (title, text) => {
    opened.hidden = false;
    opened.querySelector("h3").textContent = title;
    opened.querySelector("pre").textContent = text;
    opened.scrollIntoView({ block: "nearest" });
  };
  section.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const search = event.target.elements.search.value;
      const rows = await call("GET", `${items}/items?${new URLSearchParams({ what, search, limit: 100 })}`);
      const found = section.querySelector("table");
      const columns = JSON.parse(found.dataset.columns);
      found.tBodies[0].replaceChildren(...rows.map((row) => {
        const line = element("tr");
        line.append(...columns.map((column) => cell(row, column)));
        return line;
      }));
      section.querySelector("p.none").hidden = rows.length > 0;
    } catch (trouble) {
      show("", trouble.message);
    }
  });
  section.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-open]");
    if (!button) return;
    try {
      const item = await call("GET", `${items}/item?${new URLSearchParams({ what, key: button.dataset.open })}`);
      show(item.subject ?? item.name, item.content);
    } catch (trouble) {
      show("", trouble.message);
    }
  });
}

export function look() {
  for (const form of document.querySelectorAll("form[data-ask]")) asking(form);
  for (const section of document.querySelectorAll("[data-items]")) leafing(section);
}
