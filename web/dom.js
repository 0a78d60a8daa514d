// Shared by the page's modules: its elements, and texts in the visitor's language.
import { WORDS } from "./words.js";

export const $ = (id) => document.getElementById(id);

export function element(tag, properties, ...children) {
  const result = Object.assign(document.createElement(tag), properties);
  result.append(...children);
  return result;
}

let words = WORDS.en;
let names = {}; // replacements for braces in a text: {name}

export const language = () => (words === WORDS.zh ? "zh" : "en");

/** A text of the page in its language. */
export const say = (name) => words[name].replace(/{(\w+)}/g, (whole, key) => names[key] ?? whole);

/** The name or unit of a measure: translated for stroke measures, unchanged for a data set's own. */
export const measureWord = (name) => (Object.hasOwn(words.measures, name) ? words.measures[name] : name);

/** Set the language and rewrite all texts. replacements: added to those for braces, as in {name: "MNIST"}. */
export function setLanguage(code, replacements = {}) {
  words = WORDS[code];
  Object.assign(names, replacements);
  document.documentElement.lang = code;
  $("language").lang = code === "zh" ? "en" : "zh";
  document.title = names.name ? say("title") : "Simple-LDM";
  for (const node of document.querySelectorAll("[data-word]")) {
    if (!/{\w+}/.test(say(node.dataset.word))) node.textContent = say(node.dataset.word); // else too early
  }
  for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", say(node.dataset.label));
  for (const node of document.querySelectorAll("[data-measure]")) node.textContent = measureWord(node.dataset.measure);
  for (const node of document.querySelectorAll("[data-of]")) node.setAttribute("aria-label", measureWord(node.dataset.of));
}
