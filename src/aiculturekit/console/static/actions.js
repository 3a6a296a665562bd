// Buttons that change something: ask first, say what will happen, show what went wrong.
import { call, ended } from "./api.js";

const dialog = document.getElementById("dialog");

// Put a question; when it is answered with yes, run the action and reload what the page shows.
export function confirm(question, yes, action) {
  document.getElementById("dialog-question").textContent = question;
  document.getElementById("dialog-error").textContent = "";
  const button = document.getElementById("dialog-yes");
  button.textContent = yes;
  button.disabled = false;
  button.onclick = async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      const operation = await action();
      if (operation?.id) await ended(operation);
      dialog.close();
      location.reload();
    } catch (error) {
      document.getElementById("dialog-error").textContent = error.message;
      button.disabled = false;
    }
  };
  dialog.showModal();
}

export function ask() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button[data-url]");
    if (!button) return;
    const { question, yes, method, url, body } = button.dataset;
    const act = () => call(method, url, body ? JSON.parse(body) : undefined);
    confirm(question, yes, "now" in button.dataset ? async () => { await act(); } : act); // what goes on for long is not waited for
  });
  for (const form of document.querySelectorAll("form[data-scale]")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const replicas = form.elements.replicas.valueAsNumber;
      const { question, yes, scale } = form.dataset;
      confirm(question.replace("#", replicas), yes.replace("#", replicas), () => call("POST", scale, { replicas }));
    });
  }
}
