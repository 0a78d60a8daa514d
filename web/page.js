// The page: what is asked for comes from its controls, what is drawn goes to its canvases. One view is shown at a time.
import { fitted, repaint, vary } from "./editing.js";
import { normals, slerp } from "./noise.js";
import { buildPad } from "./pad.js";
import { loadPipeline } from "./pipeline.js";
import { WORDS } from "./words.js";

const COUNT = 20; // digits of a grid
const COLUMNS = 5;
const EDITED = 10; // versions of a visitor's digit

const $ = (id) => document.getElementById(id);
const element = (tag, properties, ...children) => {
  const result = Object.assign(document.createElement(tag), properties);
  result.append(...children);
  return result;
};

const MODELS = { one: "model/ldm-distilled", many: "model/ldm" };
const loaded = {};
let pipeline, words;
let view = "draw";
let trajectory = null; // of the view `watch`: what it shows, until something is asked for anew
let edit = null; // of the view `yours`: what one of its buttons asked for

// Controls

/** A word of the page in its language, or as it is: a data set's own. */
const word = (name) => words[name] ?? name;

function setLanguage(language) {
  words = WORDS[language];
  document.documentElement.lang = language;
  for (const node of document.querySelectorAll("[data-word]")) node.textContent = word(node.dataset.word);
  for (const node of document.querySelectorAll("[data-label]"))
    node.setAttribute("aria-label", word(node.dataset.label));
  showValues();
}

function setView(name) {
  if (timer) play(); // no longer
  view = name;
  for (const tab of document.querySelectorAll("[role=tab]")) {
    tab.ariaSelected = String(tab.dataset.word === name);
    tab.tabIndex = tab.dataset.word === name ? 0 : -1;
    $(tab.dataset.word).hidden = tab.dataset.word !== name;
  }
  $("digit").hidden = name === "walk" || name === "yours"; // these have their own
  return refresh();
}

function buildControls() {
  for (const name of ["draw", "watch", "walk", "yours"]) {
    const tab = element("button", { type: "button", role: "tab", onclick: () => setView(name) });
    tab.dataset.word = name;
    tab.setAttribute("aria-controls", name);
    document.querySelector("nav").append(tab);
    $(name).dataset.label = name;
  }
  document.querySelector("nav").onkeydown = ({ key, target }) => {
    const next = { ArrowRight: target.nextElementSibling, ArrowLeft: target.previousElementSibling }[key];
    next?.focus();
    next?.click();
  };
  const { classes, measures } = pipeline.spec;
  for (const [value, name] of [["", `${classes[0]}–${classes.at(-1)}`], ...classes.entries()]) {
    const input = element("input", { type: "radio", name: "digit", value, checked: value === "" });
    $("digit").append(element("label", {}, input, element("span", { textContent: name })));
    for (const select of document.querySelectorAll("select.digits")) {
      const option = element("option", { value, textContent: name });
      if (value === "") option.dataset.word = "unknown";
      if (value !== "" || select.id === "isDigit") select.append(option);
    }
  }
  [$("from").value, $("to").value] = [0.3, 0.8].map((share) => Math.floor(share * classes.length)); // 3, 8
  for (const name in measures) {
    const [min, value, max] = [2, 50, 98].map((percentile) => pipeline.at(name, percentile));
    const asks = element("input", { type: "checkbox", id: `ask-${name}` });
    asks.dataset.label = name; // that it is a box tells it from the slider
    const range = element("input", { type: "range", id: name, min, max, step: "any", value });
    range.dataset.label = name;
    range.oninput = () => (asks.checked = true);
    const shown = element("span");
    shown.dataset.word = name;
    $("asked").append(element("label", { className: "measure", htmlFor: name }, shown, asks, range, element("output")));
  }
}

/** Each slider's value, beside it. */
function showValues() {
  for (const range of document.querySelectorAll("input[type=range]")) {
    const unit = pipeline?.spec.measures[range.id]?.unit;
    const output = range.parentElement.querySelector("output");
    const open = unit && !$(`ask-${range.id}`).checked;
    const own = range.id === "calls" && pipeline && settings().steps !== +range.value; // 1 where that is not the model's
    const value = own ? `${settings().steps} (${words.own})` : range.value;
    const text = unit ? `${(+value).toFixed(1)} ${word(unit)}` : value;
    output.ariaLive = "off"; // the slider says it
    output.textContent = open ? "–" : text;
    range.setAttribute("aria-valuetext", open ? words.unknown : text);
  }
}

/** What the controls ask for, of each of so many digits: one class, or each in turn. */
function asked(count, digit = document.querySelector("[name=digit]:checked").value) {
  const { classes, measures } = pipeline.spec;
  const told = Object.keys(measures).filter((name) => $(`ask-${name}`).checked);
  const values = Object.fromEntries(told.map((name) => [name, +$(name).value]));
  return Array.from({ length: count }, (_, i) => ({ ...values, digit: digit === "" ? i % classes.length : +digit }));
}

/** One of MODELS, loaded once; where that fails, anew the next time. */
function load(name) {
  return (loaded[name] ??= loadPipeline(MODELS[name]).catch((error) => {
    delete loaded[name];
    throw new Error(`${words.failed}: ${error.message}`);
  }));
}

/** The model that these views draw with: the distilled one where one call is to do, or else latent diffusion. */
async function choose() {
  const one = +$("calls").value === 1 && (view === "draw" || view === "walk");
  pipeline = await load(one ? "one" : "many");
  $("guidance").disabled = one;
  showValues();
}

/** The model's own settings, but for what the controls say. */
function settings() {
  const steps = +$("calls").value === 1 ? pipeline.sampler.steps : +$("calls").value;
  return pipeline.settings({ steps, guidance: $("guidance").disabled ? 1 : +$("guidance").value });
}

/** A function that gives noise of so many digits, at each call other noise. */
function noiseOf(count) {
  const seed = +$("seed").value;
  let drawn = 0;
  return () => normals(seed + 7919 * drawn++, count * pipeline.size);
}

// Pictures

/** Pixels in -1 to 1 as a grid, a pixel between two digits. */
function paint(canvas, pixels) {
  const [channels, height, width] = pipeline.spec.shape;
  const size = height * width;
  const count = pixels.length / (channels * size);
  canvas.width = COLUMNS * (width + 1) - 1;
  canvas.height = Math.ceil(count / COLUMNS) * (height + 1) - 1;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillRect(0, 0, canvas.width, canvas.height);
  for (let k = 0; k < count; k++) {
    const image = new ImageData(width, height);
    for (let i = 0; i < size; i++) {
      for (let c = 0; c < 3; c++) {
        const plane = k * channels + Math.min(c, channels - 1); // of grey three times the same
        image.data[4 * i + c] = (pixels[plane * size + i] + 1) * 127.5;
      }
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, (width + 1) * (k % COLUMNS), (height + 1) * Math.floor(k / COLUMNS));
  }
}

// Views

const VIEWS = {
  async draw() {
    const y = pipeline.conditions(asked(COUNT));
    const x_0 = await pipeline.last(pipeline.trajectory(noiseOf(COUNT), y, settings()));
    paint($("digits"), await pipeline.decode(x_0));
  },

  async watch() {
    let states = trajectory;
    if (!states) {
      const noise = noiseOf(COUNT);
      const x_t = noise();
      trajectory = states = { noised: [x_t], estimates: [] }; // null again once other digits are asked for
      const y = pipeline.conditions(asked(COUNT));
      for await (const [x_s, x_0] of pipeline.trajectory(noise, y, settings(), { x_t })) {
        states.noised.push(x_s);
        states.estimates.push(x_0);
      }
      states.estimates.push(states.noised.at(-1));
      const last = states.estimates.length - 1;
      Object.assign($("time"), { max: last, value: Math.min($("time").value, last) });
      showValues();
    }
    paint($("noised"), await pipeline.decode(states.noised[$("time").value]));
    paint($("estimate"), await pipeline.decode(states.estimates[$("time").value]));
  },

  async walk() {
    const way = +$("way").value;
    const [from, to] = ["from", "to"].map((id) => pipeline.conditions(asked(COUNT, $(id).value)));
    const noise = noiseOf(COUNT);
    const x_t = slerp(noise(), noise(), way);
    const mixed = [[1 - way, from], [way, to]].filter(([share]) => share > 0); // prettier-ignore
    const x_0 = await pipeline.last(pipeline.trajectory(noise, mixed, settings(), { x_t }));
    paint($("between"), await pipeline.decode(x_0));
  },

  async yours() {
    const work = edit;
    edit = null;
    return work ? work() : null; // it waits for its buttons
  },
};

let running = false;
let again = false;

/** Draw the view anew; while it is being drawn, once more afterwards. */
async function refresh() {
  showValues();
  again = true;
  if (running) return;
  running = true;
  while (again) {
    again = false;
    await timed(VIEWS[view]);
    await new Promise(requestAnimationFrame); // the picture shows before the next is computed
  }
  running = false;
}

/** Do it, and say how long it took, or what went wrong. */
async function timed(work) {
  const start = performance.now();
  try {
    await choose();
    const nothing = (await work()) === null;
    $("status").textContent = nothing ? "" : `${((performance.now() - start) / 1000).toFixed(2)} ${words.seconds}`;
  } catch (error) {
    $("status").textContent = error.message;
    trajectory = null; // it may be half of one
    console.error(error);
  }
}

// A visitor's digit

/** Have change(pixels of so many copies of the drawing, y, noise) computed, and show what it gives. */
function editDrawing(change) {
  const digit = fitted($("pad"), pipeline.spec.shape);
  if (!digit) return ($("status").textContent = words.nothing);
  $("status").textContent = words.working;
  const pixels = Float32Array.from({ length: EDITED * digit.length }, (_, i) => digit[i % digit.length]);
  edit = async () => {
    const y = pipeline.conditions(asked(EDITED, $("isDigit").value || "NaN"));
    paint($("result"), await change(pixels, y, noiseOf(EDITED)));
  };
  refresh();
}

function buildEdits() {
  const [, height, width] = pipeline.spec.shape;
  const keep = (where) => Array.from({ length: height * width }, (_, i) => where(i % width, Math.floor(i / width)));
  const anew = (mask) => () =>
    editDrawing((pixels, y, draw) => repaint(pipeline, pixels, mask, y, draw, settings().guidance));
  $("right").onclick = anew(keep((x) => x < width / 2));
  $("bottom").onclick = anew(keep((_, y) => y < height / 2));
  $("vary").onclick = () =>
    editDrawing((pixels, y, draw) => vary(pipeline, pixels, +$("strength").value, y, draw, settings()));
}

// The walk by itself

let timer = null;

function play() {
  clearInterval(timer);
  timer = timer ? null : setInterval(step, 120);
  $("play").dataset.word = timer ? "stop" : "play";
  $("play").textContent = words[$("play").dataset.word];
  $("status").ariaLive = timer ? "off" : "polite";
  let direction = 1;
  function step() {
    if (running) return;
    const next = +$("way").value + 0.04 * direction;
    if (next > 1 || next < 0) direction = -direction;
    $("way").value = Math.min(1, Math.max(0, next));
    refresh();
  }
}

async function main() {
  const wanted = new URLSearchParams(location.search).get("lang") ?? navigator.language ?? "en";
  setLanguage(wanted.startsWith("zh") ? "zh" : "en");
  $("status").textContent = `${words.loading} …`;
  $("language").onclick = () => {
    const language = words === WORDS.en ? "zh" : "en";
    history.replaceState(null, "", `?lang=${language}`);
    setLanguage(language);
    if (pipeline) refresh();
  };
  try {
    await choose();
  } catch (error) {
    $("status").textContent = `${error.message} (${words.again})`;
    throw error;
  }
  buildControls();
  buildPad($("pad"), $("pen"), $("clear"));
  buildEdits();
  $("another").onclick = () => {
    $("seed").value = Math.floor(Math.random() * 2 ** 31);
    trajectory = null;
    refresh();
  };
  $("play").onclick = play;
  document.oninput = ({ target }) => {
    if (target.id !== "time") trajectory = null;
    refresh();
  };
  setLanguage(document.documentElement.lang);
  await setView("draw");
  load("many").catch(() => {}); // for when the network is off
}

main();
