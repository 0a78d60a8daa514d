// Controls for the conditions: buttons for few classes, a search box for many, and a slider per measure.
import { $, element, measureWord, say } from "./dom.js";

const BUTTONS = 24; // with more classes there is a search box

/** The index of the class whose name is, begins with or contains a text; NaN if there is none. */
export function classCalled(text, classes) {
  const query = text.trim().toLowerCase();
  if (!query) return NaN;
  const lowered = classes.map((name) => name.toLowerCase());
  const tests = [(name) => name === query, (name) => name.startsWith(query), (name) => name.includes(query)];
  const found = [classes.indexOf(text.trim()), ...tests.map((test) => lowered.findIndex(test))];
  return found.find((index) => index >= 0) ?? NaN;
}

/** The controls for a model's classes and measures. optional: the model can sample without a class. */
export class Controls {
  constructor(known, optional) {
    Object.assign(this, { known, choosers: {} });
    const { classes } = known;
    this.many = classes.length > BUTTONS;
    if (this.many) {
      const names = classes.map((value) => element("option", { value }));
      document.body.append(element("datalist", { id: "names" }, ...names));
    }
    const [from, to] = [0.3, 0.8].map((share) => Math.floor(share * classes.length)); // 3 and 8 of MNIST's
    this.choose("class", "each", NaN, !this.many);
    this.choose("from", null, from);
    this.choose("to", null, to);
    this.choose("isClass", optional ? "unknown" : null, optional ? NaN : 0);
    if (classes.length === 1) for (const id of Object.keys(this.choosers)) $(id).closest("label, fieldset").hidden = true;
    for (const name in known.measures) this.measure(name);
  }

  /** Add a control to choose a class to an element. none: the word for no class, or null if a class is required. */
  choose(id, none, initial, buttons = false) {
    const { classes } = this.known;
    let read, write, show;
    if (this.many) {
      const input = element("input", { type: "search", autocomplete: "off" });
      input.setAttribute("list", "names");
      const output = element("output");
      input.dataset.label = id;
      $(id).append(input, output);
      read = () => {
        const found = classCalled(input.value, classes);
        return Number.isNaN(found) && !none ? initial : found;
      };
      show = () => (output.textContent = classes[read()] ?? say(none));
      write = (index) => (input.value = classes[index] ?? "");
    } else if (buttons) {
      const named = [["", null], ...classes.entries()].map(([value, name]) => {
        const shown = element("span", { textContent: name });
        if (value === "") shown.dataset.word = none;
        return element("label", {}, element("input", { type: "radio", name: id, value }), shown);
      });
      $(id).append(...named);
      read = () => Number.parseInt(document.querySelector(`[name=${id}]:checked`).value);
      write = (index) => (document.querySelector(`[name=${id}][value="${classes[index] === undefined ? "" : index}"]`).checked = true);
    } else {
      const options = classes.map((textContent, value) => element("option", { value, textContent }));
      if (none) options.unshift(element("option", { value: "" }));
      if (none) options[0].dataset.word = none;
      const select = element("select", {}, ...options);
      $(id).append(select);
      read = () => Number.parseInt(select.value);
      write = (index) => (select.value = classes[index] === undefined ? (none ? "" : initial) : index);
    }
    write(initial);
    this.choosers[id] = { read, write, show, initial };
  }

  /** Add a slider for a measure, and a checkbox for whether it is a condition. */
  measure(name) {
    const { unit, at } = this.known.measures[name];
    const checkbox = element("input", { type: "checkbox" }); // its type distinguishes it from the slider
    const range = element("input", { type: "range", min: at[2], max: at[98], step: "any", value: at[50] });
    range.oninput = () => (checkbox.checked = true);
    for (const input of [checkbox, range]) input.dataset.of = name;
    const shown = element("span");
    shown.dataset.measure = name;
    const output = element("output", { ariaLive: "off" }); // the slider announces the value
    const digits = Math.min(6, Math.max(0, Math.ceil(1.5 - Math.log10(at[98] - at[2] || 1))));
    const show = () => {
      const text = `${(+range.value).toFixed(digits)} ${measureWord(unit)}`;
      output.textContent = checkbox.checked ? text : "–";
      range.setAttribute("aria-valuetext", checkbox.checked ? text : say("unknown"));
    };
    $("measures").append(element("label", { className: "measure" }, shown, checkbox, range, output));
    const read = () => (checkbox.checked ? +range.value : NaN);
    const write = (value) => {
      checkbox.checked = !Number.isNaN(value);
      range.value = checkbox.checked ? value : at[50];
    };
    this.choosers[`ask.${name}`] = { read, write, show, initial: NaN };
  }

  class(id) {
    return this.choosers[id].read();
  }

  /** The measures to condition on, {name: value}. */
  measures() {
    const values = Object.keys(this.known.measures).map((name) => [name, this.choosers[`ask.${name}`].read()]);
    return Object.fromEntries(values.filter(([, value]) => !Number.isNaN(value)));
  }

  show() {
    for (const { show } of Object.values(this.choosers)) show?.();
  }
}
