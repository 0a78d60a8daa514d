// The page: conditions come from its controls, pictures go to its canvases. One view (tab) is shown at a time.
import { Address } from "./address.js";
import { Controls } from "./controls.js";
import { $, element, language, say, setLanguage } from "./dom.js";
import { fitted, pictured, repaint, vary } from "./editing.js";
import { noiseOf, slerp } from "./noise.js";
import { buildPad, buildUpload } from "./pad.js";
import { fit, paint, savePNG, saveVideo } from "./paint.js";
import { openModels } from "./pipeline.js";

const COUNT = 20; // pictures in a grid
const FEW = 5; // pictures if each takes long
const QUICK = 256; // a network is fast if x_t has at most this many positions
const PART = 400; // milliseconds to compute before a part of a grid is shown

let model, distilled; // pipelines: of the model, and of the one distilled from it for one network call, if any
let pipeline; // the one of the two that the view uses
let controls, address;
let view = "draw";
let trajectory = null; // of the view `watch`: the states that it shows; null if they must be computed
let edit = null; // of the view `yours`: the edit that a button has started
let source = () => null; // of the view `yours`: the visitor's picture, or null

// Controls

function setView(name) {
  stop();
  edit = null;
  view = name;
  for (const tab of document.querySelectorAll("[role=tab]")) {
    tab.ariaSelected = String(tab.dataset.word === name);
    tab.tabIndex = tab.dataset.word === name ? 0 : -1;
    $(tab.dataset.word).hidden = tab.dataset.word !== name;
  }
  $("asked").hidden = name === "walk";
  $("class").hidden = name === "yours" || model.known.classes.length === 1; // it has a control of its own
  return refresh().then(() => showOnce(name));
}

function buildControls() {
  for (const name of ["draw", "watch", "walk", "yours"]) {
    const tab = element("button", { type: "button", role: "tab", onclick: () => setView(name) });
    tab.dataset.word = name;
    tab.setAttribute("aria-controls", name);
    document.querySelector("nav").append(tab);
    $(name).dataset.label = name;
  }
  document.querySelector("nav").onkeydown = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return; // the browser's own, such as Back
    const { nextElementSibling, previousElementSibling, parentElement } = event.target;
    const ends = { Home: parentElement.firstElementChild, End: parentElement.lastElementChild };
    const next = { ArrowRight: nextElementSibling, ArrowLeft: previousElementSibling, ...ends }[event.key];
    if (!next) return;
    event.preventDefault(); // of scrolling
    next.focus();
    next.click();
  };
  const { timesteps } = model.known.diffusion;
  const calls = distilled ? 1 : model.sampler.steps;
  Object.assign($("calls"), { max: Math.min(timesteps, Math.max(20, calls)), value: calls });
  const { guidance } = model.sampler;
  Object.assign($("guidance"), { min: Math.min(0, guidance), max: Math.max(3, guidance), value: guidance });
  controls = new Controls(model.known, model.optional);
  const input = (id) => {
    const initial = +$(id).value;
    return { read: () => +$(id).value, write: (value) => ($(id).value = value), initial };
  };
  address = new Address({
    view: { read: () => view, write: (name) => ($(name)?.role === "tabpanel" ? (view = name) : null), initial: view },
    ...controls.choosers,
    ...Object.fromEntries(["strength", "calls", "guidance", "seed"].map((id) => [id, input(id)])),
    way: { ...input("way"), read: () => (view === "walk" ? +$("way").value : NaN), initial: NaN }, // always of this view
  });
}

/** Show each slider's value beside it, and update the address. */
function showValues() {
  controls.show();
  for (const range of document.querySelectorAll("input[type=range][id]")) {
    const output = range.parentElement.querySelector("output");
    const own = range.id === "calls" && settings().steps !== +range.value; // one call, for which the model has more
    output.ariaLive = "off"; // the slider announces the value
    output.textContent = range.disabled ? "–" : own ? `${settings().steps} (${say("own")})` : range.value;
    range.setAttribute("aria-valuetext", output.textContent);
  }
  if (!player) address.keep(); // browsers limit changes per second
}

/** Choose the pipeline for the view: the distilled model for one call, if there is one. */
function choose() {
  pipeline = distilled && +$("calls").value === 1 && (view === "draw" || view === "walk") ? distilled : model;
  $("guidance").disabled = !pipeline.optional;
}

/** The model's own sampler settings, changed by the controls. At one call, if there is a distilled model, the other
 * takes its default number of calls. */
function settings() {
  const calls = +$("calls").value;
  const steps = distilled && calls === 1 ? pipeline.sampler.steps : calls;
  return { ...pipeline.sampler, steps, guidance: pipeline.optional ? +$("guidance").value : 1 };
}

/** The class of each picture: the chosen one, or each class in turn. */
function classesOf(indices, label = controls.class("class")) {
  return indices.map((i) => (Number.isNaN(label) ? i % model.known.classes.length : label));
}

const first = (count) => Array.from({ length: count }, (_, i) => i);
const quick = () => model.known.x_0[1] * model.known.x_0[2] <= QUICK;
const seeded = (indices) => noiseOf(+$("seed").value, indices, pipeline.size);

// Views

const pace = { draw: PART / FEW }; // milliseconds per picture, in each view

/** Show drawn(indices) -> pixels for a grid of `count` pictures, part by part; stops if the controls change. */
async function inParts(canvas, count, drawn) {
  const { shape } = pipeline.known;
  const [name, work] = [view, edit];
  fit(canvas, count, shape);
  for (let done = 0; done < count; ) {
    const part = Math.min(count - done, Math.max(1, Math.round(PART / (pace[name] ?? PART))));
    const start = performance.now();
    const pixels = await drawn(first(part).map((i) => done + i));
    if (edit !== work) return; // another picture was chosen, or another edit begun
    paint(canvas, pixels, shape, done);
    pace[name] = (performance.now() - start) / part;
    done += part;
    if (done === count) return;
    await shown();
    if (again) return;
  }
}

const VIEWS = {
  draw: () =>
    inParts($("pictures"), COUNT, async (indices) => {
      const y = pipeline.conditions(classesOf(indices), controls.measures());
      return pipeline.decode(await pipeline.last(pipeline.trajectory(seeded(indices), { y }, settings())));
    }),

  async watch() {
    let states = trajectory;
    if (!states) {
      const indices = first(quick() ? COUNT : FEW);
      const noise = seeded(indices);
      const x_t = noise();
      states = trajectory = { noised: [x_t], estimate: [] }; // null again when the controls change
      const y = pipeline.conditions(classesOf(indices), controls.measures());
      for await (const [x_s, x_0] of pipeline.trajectory(noise, { y }, settings(), { x_t })) {
        states.noised.push(x_s);
        states.estimate.push(x_0);
        await shown(); // lets the page answer
        if (view !== "watch") trajectory = null;
        if (trajectory !== states) return;
      }
      states.estimate.push(states.noised.at(-1));
      const last = states.estimate.length - 1;
      Object.assign($("time"), { max: last, value: Math.min($("time").value, last) });
      showValues();
    }
    for (const id of ["noised", "estimate"]) {
      const pixels = await pipeline.decode(states[id][$("time").value]);
      fit($(id), pixels.length / model.known.shape.reduce((a, b) => a * b), model.known.shape);
      paint($(id), pixels, model.known.shape);
    }
  },

  walk: () => drawWalk($("between"), +$("way").value),

  async yours() {
    const work = edit;
    if (!work) return null; // its buttons start an edit
    await work();
    if (!again && edit === work) edit = null; // else it was interrupted, and starts anew
  },
};

/** Draw the interpolation between two noises and two classes at `way` in 0..1. */
async function drawWalk(canvas, way) {
  const indices = first(quick() && pipeline === distilled ? COUNT : FEW);
  const [y, to] = ["from", "to"].map((id) => pipeline.conditions(classesOf(indices, controls.class(id))));
  const noise = seeded(indices);
  const [a, b] = [noise(), noise()];
  const x_t = new Float32Array(a.length);
  for (const i of indices) {
    const of = (x) => x.subarray(i * pipeline.size, (i + 1) * pipeline.size);
    x_t.set(slerp(of(a), of(b), way), i * pipeline.size);
  }
  const states = pipeline.trajectory(noise, { y, to, share: way }, settings(), { x_t });
  const pixels = await pipeline.decode(await pipeline.last(states));
  fit(canvas, indices.length, model.known.shape);
  paint(canvas, pixels, model.known.shape);
}

let running = false;
let again = false;

const shown = () => new Promise((resolve) => setTimeout(resolve)); // lets the browser show a picture

/** Redraw the view; if it is being drawn already, once more afterwards. */
async function refresh() {
  again = true;
  choose();
  showValues();
  if (running) return;
  running = true;
  while (again) {
    again = false;
    await timed(VIEWS[view]);
    await shown();
  }
  running = false;
}

/** Why the networks could not be loaded, and what helps. */
function failure({ message, cause }) {
  return `${say("failed")}: ${message}${cause ? "" : ` (${say("again")})`}`;
}

/** Load the networks of the view's pipeline. */
async function loaded(editing) {
  await pipeline.load(editing).catch((error) => {
    throw new Error(failure(error));
  });
}

/** Run work() and show how long it took, or its error. */
async function timed(work) {
  const started = edit;
  const slow = setTimeout(() => ($("status").textContent = `${say("loading")} …`), 300);
  try {
    await loaded(view === "yours" && edit).finally(() => clearTimeout(slow));
    if (again) return; // the view may have changed meanwhile
    const start = performance.now();
    const nothing = (await work()) === null;
    if (again) return;
    $("status").textContent = nothing ? "" : `${((performance.now() - start) / 1000).toFixed(2)} ${say("seconds")}`;
  } catch (error) {
    stop(); // or it would be tried again and again
    $("status").textContent = error.message;
    trajectory = null; // it may be incomplete
    if (!again && edit === started) edit = null; // unless another one has been started
    console.error(error);
  }
}

// A visitor's picture

/** Compute change(pixels of copies of the picture, conditions, noise), and show the results. */
async function editPicture(change) {
  const picture = source();
  if (!picture) return ($("status").textContent = say(model.known.strokes ? "nothingDrawn" : "nothingChosen"));
  $("status").textContent = say("working");
  const indices = first(quick() ? 2 * FEW : FEW);
  edit = () =>
    inParts($("result"), indices.length, (part) => {
      const pixels = Float32Array.from({ length: part.length * picture.length }, (_, i) => picture[i % picture.length]);
      const label = controls.class("isClass");
      const y = pipeline.conditions(part.map(() => label), controls.measures());
      return change(pixels, { y }, seeded(part));
    });
  await shown();
  refresh();
}

function buildEdits() {
  const { shape, strokes, mnist } = model.known;
  const [, height, width] = shape;
  const keep = (where) => Array.from({ length: height * width }, (_, i) => where(i % width, Math.floor(i / width)));
  const anew = (mask) => () =>
    editPicture((pixels, y, draw) => repaint(pipeline, pixels, mask, y, draw, settings().guidance));
  $("right").onclick = anew(keep((x) => x < width / 2));
  $("bottom").onclick = anew(keep((_, y) => y < height / 2));
  $("vary").onclick = () =>
    editPicture((pixels, y, draw) => vary(pipeline, pixels, +$("strength").value, y, draw, settings()));
  $("yoursHelp").dataset.word = strokes ? "drawHelp" : "uploadHelp";
  const forget = () => {
    $("status").textContent = "";
    $("result").width = $("result").width; // clears it
    if (!edit) return;
    edit = null;
    refresh();
  };
  if (strokes) {
    $("upload").hidden = true;
    buildPad($("pad"), $("pen"), $("clear"));
    $("clear").addEventListener("click", forget);
    source = () => {
      const drawing = fitted($("pad"), shape);
      return mnist ? drawing : drawing && pictured($("pad"), shape, model.known.fit); // null if nothing is drawn
    };
  } else {
    for (const id of ["clear", "pen"]) $(id).hidden = true;
    const show = (picture) => {
      if (view !== "yours" && !$("walk").inert) setView("yours");
      forget(); // what was made of the picture before
      const pixels = pictured(picture, shape, model.known.fit);
      picture.close();
      fit($("pad"), 1, shape);
      paint($("pad"), pixels, shape);
      source = () => pixels;
    };
    buildUpload($("pad"), $("file"), show, () => ($("status").textContent = say("noPicture")));
  }
}

// Animation and saving

let player = null;

/** Animate a slider: once to its end, or back and forth until it is stopped. */
function play(button, id, once) {
  if (player) return stop();
  played.add(view);
  const range = $(id);
  const [low, step] = [+range.min, id === "way" ? 0.04 : 1];
  if (once || +range.value >= +range.max) range.value = low;
  let direction = 1;
  const move = () => {
    if (running) return;
    const high = +range.max; // the number of calls, known once they were computed
    const next = +range.value + step * direction;
    if (next > high && (once || id === "time")) return stop();
    if (next > high || next < low) direction = -direction;
    range.value = Math.min(high, Math.max(low, next));
    refresh();
  };
  player = { button, timer: setInterval(move, id === "way" ? 80 : 350) };
  button.dataset.word = "stop";
  button.textContent = say("stop");
  $("status").ariaLive = "off";
  refresh();
}

function stop() {
  if (!player) return;
  clearInterval(player.timer);
  player.button.dataset.word = "play";
  player.button.textContent = say("play");
  $("status").ariaLive = "polite";
  player = null;
  address.keep();
}

const played = new Set();
const opened = new URLSearchParams(location.search); // the link that was followed

/** Play a view's animation once when it is first opened, unless it plays already, the visitor prefers reduced motion, or
 * the address has a position in it. */
function showOnce(name) {
  const button = $(name).querySelector("[data-play]");
  if (!button || played.has(name) || view !== name || player) return;
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  played.add(name);
  if (opened.has(button.dataset.play)) return;
  play(button, button.dataset.play, true);
}

/** Save an interpolation as a video. */
async function record() {
  stop();
  played.add(view);
  const controls = document.querySelectorAll("nav, #walk, details, #language"); // they would change the frames or texts
  for (const each of controls) each.inert = true;
  $("status").ariaLive = "off"; // not 26 announcements
  const frames = [];
  try {
    await loaded();
    for (let way = 0; way < 1.001; way += 0.04) {
      const frame = element("canvas");
      await drawWalk(frame, Math.min(way, 1));
      frames.push(frame);
      $("status").textContent = `${say("working")} ${frames.length} / 26`;
      await shown();
    }
    await saveVideo([...frames, ...frames.toReversed()], `${model.known.title}-walk`);
    $("status").textContent = "";
  } catch (error) {
    $("status").ariaLive = "polite"; // first, so that the error is announced
    $("status").textContent = error.message;
    console.error(error);
  }
  $("status").ariaLive = "polite";
  for (const each of controls) each.inert = false;
  if (document.activeElement === document.body) $("record").focus(); // what is inert loses it
}

// Start

/** The folder of the model that the address names, else of the page's first model. */
function chosenModel() {
  const folders = [...$("model").options].map((option) => option.value);
  const named = `model/${new URLSearchParams(location.search).get("model")}`;
  $("choice").hidden = folders.length === 1;
  return ($("model").value = folders.includes(named) ? named : folders[0]);
}

/** Another model reloads the page; of the settings only the language is kept. */
$("model").onchange = () => {
  location.search = new URLSearchParams({ lang: language(), model: $("model").value.replace("model/", "") });
};

/** A page that comes back from the browser's cache shows the choice with which it was left. */
window.onpageshow = ({ persisted }) => persisted && chosenModel();

$("language").onclick = () => {
  const query = new URLSearchParams(location.search);
  query.set("lang", language() === "zh" ? "en" : "zh");
  setLanguage(query.get("lang"));
  if (pipeline) refresh();
  history.replaceState(null, "", `?${query}`);
};

async function main() {
  const code = new URLSearchParams(location.search).get("lang") ?? navigator.language ?? "en";
  setLanguage(code.startsWith("zh") ? "zh" : "en");
  $("status").textContent = `${say("loading")} …`;
  try {
    [model, distilled] = await openModels(chosenModel());
  } catch (error) {
    $("status").textContent = failure(error);
    throw error;
  }
  buildControls();
  buildEdits();
  $("another").onclick = () => {
    $("seed").value = Math.floor(Math.random() * 2 ** 31);
    trajectory = null;
    refresh();
  };
  for (const button of document.querySelectorAll("[data-play]"))
    button.onclick = () => play(button, button.dataset.play, false);
  for (const button of document.querySelectorAll("[data-save]"))
    button.onclick = () => savePNG($(button.dataset.save), `${model.known.title}-${view}`);
  $("record").onclick = record;
  document.oninput = ({ target }) => {
    if (target.id === "model" || target.id === "file") return;
    stop();
    played.add(view); // what was moved by hand no longer plays by itself
    if (target.id === "guidance") target.value = (+target.value).toFixed(2); // by hand; the model's own stays exact
    if (target.id !== "time") trajectory = null;
    refresh();
  };
  const { title, shape } = model.known;
  setLanguage(language(), { name: title, size: `${shape[2]}x${shape[1]}` });
  await setView(view);
  model.fetchAll().catch(() => {}); // so that the page works offline
}

main();
