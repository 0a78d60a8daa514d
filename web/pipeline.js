// common/diffusion/model.py and pytorch/model/ddpm.py in JavaScript, with ONNX networks. Arrays are Float32Arrays.
import { open, runtime } from "./files.js";
import { SAMPLERS } from "./samplers.js";
import { alphasCumprod, samplerTimesteps } from "./schedule.js";

const product = (shape) => shape.reduce((a, b) => a * b);

/** A Pipeline for each model in a folder written by publish/export.py; they share their data and space. */
export async function openModels(folder) {
  const [known, files] = await open(folder);
  return known.networks.map((network) => new Pipeline(known, files, network));
}

class Pipeline {
  /** known: content of model.json; network: its name, its sampler, and whether it can sample without a class (optional). */
  constructor(known, files, network) {
    Object.assign(this, { known, files, ...network });
    this.abar = alphasCumprod(known.diffusion);
    this.size = product(known.x_0); // numbers in one x_t
  }

  /** Load the networks needed for sampling, or also for editing. */
  async load(editing = false) {
    const names = [this.name, ...(this.known.latent ? ["decoder"] : [])];
    if (editing && this.known.latent) names.push("encoder");
    await Promise.all(names.map((name) => this.files.network(name)));
  }

  /** Fetch all files, so that the networks can be loaded offline. */
  async fetchAll() {
    await Promise.all(Object.keys(this.known.files).map((name) => this.files.bytes(name)));
  }

  /** alpha_t and sigma_t. */
  alphaSigma(t) {
    return [Math.sqrt(this.abar.at(t)), Math.sqrt(1 - this.abar.at(t))];
  }

  /** The conditioning vectors y, N x (1 + A), of N classes and values {measure: number}; NaN if not given. */
  conditions(classes, values = {}) {
    const columns = Object.entries(this.known.measures).map(([name, { at }]) => {
      return ((values[name] ?? NaN) - at[50]) / ((at[95] - at[5]) / 2 || 1);
    });
    return Float32Array.from(classes.flatMap((label) => [label, ...columns]));
  }

  /** Run a network with one input, an array that is a batch of this shape. */
  async apply(name, array, shape) {
    const [{ Tensor }, network] = [await runtime(), await this.files.network(name)];
    const x = new Tensor("float32", array, [array.length / product(shape), ...shape]);
    return (await network.run({ x })).output.data;
  }

  /** The network's output at x_t and time step t, under conditions interpolated from y to `to` by `share`. */
  async predict(x_t, t, { y, to = y, share = 0 }) {
    const [{ Tensor }, network] = [await runtime(), await this.files.network(this.name)];
    const count = x_t.length / this.size;
    const { output } = await network.run({
      x_t: new Tensor("float32", x_t, [count, ...this.known.x_0]),
      t: new Tensor("int64", BigInt64Array.of(BigInt(t)), [1]),
      y: new Tensor("float32", y, [count, y.length / count]),
      to: new Tensor("float32", to, [count, y.length / count]),
      share: new Tensor("float32", Float32Array.of(share), [1]),
    });
    return output.data;
  }

  /** The estimate of x_0 (Salimans and Ho 2022, appendix D), with guidance (Ho and Salimans 2022, equation 6). */
  async denoise(x_t, t, conditions, guidance) {
    const free = { y: conditions.y.map(() => NaN) };
    let output = await this.predict(x_t, t, guidance === 0 ? free : conditions);
    if (guidance !== 0 && guidance !== 1) {
      const unconditional = await this.predict(x_t, t, free);
      output = output.map((value, i) => unconditional[i] + guidance * (value - unconditional[i]));
    }
    const [alpha, sigma] = this.alphaSigma(t);
    const { prediction } = this.known.diffusion;
    const estimate = {
      v: (value, i) => alpha * value - sigma * output[i],
      epsilon: (value, i) => (value - sigma * output[i]) / alpha,
    }[prediction];
    const x_0 = x_t.map(estimate);
    return this.known.latent ? x_0 : x_0.map((value) => Math.min(1, Math.max(-1, value)));
  }

  timesteps({ steps, shift, end }) {
    return samplerTimesteps(this.known.diffusion.timesteps, steps, shift, end);
  }

  /**
   * Yields [x_t, estimate of x_0] per step, from noise() or a given x_t, over the sampler's or given time steps.
   * conditions: {y} or {y, to, share}; change(x_0) replaces each estimate.
   */
  trajectory(noise, conditions, settings, { x_t = noise(), timesteps, change = (x_0) => x_0 } = {}) {
    const denoise = async (x, t) => change(await this.denoise(x, t, conditions, settings.guidance));
    timesteps ??= this.timesteps(settings);
    return SAMPLERS[settings.name](denoise, x_t, this.abar, timesteps, noise, settings.eta);
  }

  /** The last x_t of a trajectory. */
  async last(trajectory) {
    let result;
    for await (const [x_t] of trajectory) result = x_t;
    return result;
  }

  /** Decode x_t to pixels in -1 to 1, images of the data's shape. */
  async decode(x_t) {
    return this.known.latent ? this.apply("decoder", x_t, this.known.x_0) : x_t;
  }

  /** Encode pixels in -1 to 1 to x_0. */
  async encode(pixels) {
    return this.known.latent ? this.apply("encoder", pixels, this.known.shape) : pixels;
  }
}
