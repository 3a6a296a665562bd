// Sliders for the weights of a service's versions: moving one spreads the rest over the others in proportion.
import { call } from "./api.js";
import { confirm } from "./actions.js";

function spread(inputs, moved) {
  const others = inputs.filter((input) => input !== moved);
  const rest = 100 - moved.valueAsNumber;
  const sum = others.reduce((total, input) => total + input.valueAsNumber, 0);
  let left = rest;
  others.forEach((input, at) => {
    const share = at === others.length - 1 ? left : Math.round(sum ? (rest * input.valueAsNumber) / sum : rest / others.length);
    input.value = share;
    left -= share;
  });
}

export function weigh() {
  for (const form of document.querySelectorAll("form[data-weights]")) {
    const inputs = [...form.querySelectorAll("input[type=range]")];
    const before = inputs.map((input) => input.value).join();
    form.addEventListener("input", (event) => {
      spread(inputs, event.target);
      for (const input of inputs) input.nextElementSibling.value = `${input.value}%`;
      form.querySelector("button").disabled = inputs.map((input) => input.value).join() === before;
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const weights = Object.fromEntries(inputs.map((input) => [input.dataset.version, input.valueAsNumber]));
      const shares = inputs.map((input) => `${input.dataset.version} ${input.value}%`).join(", ");
      const { question, yes } = form.dataset;
      confirm(question.replace("#", shares), yes.replace("#", shares), () => call("POST", form.dataset.weights, { weights }));
    });
  }
}
