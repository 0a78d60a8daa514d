// pytorch/pipeline.py and model/ddpm.py again, over ONNX files: noise in, images out. Arrays are Float32Arrays.
import { SAMPLERS } from "./samplers.js";
import { alphasCumprod, samplerTimesteps } from "./schedule.js";

export const SIDE = 32;
const PERCENTILES = [1, 2, 5, 50, 95, 98, 99]; // common/conditions.py's

let ort;

/** The model in a folder that publish/export.py wrote. */
export async function loadPipeline(folder) {
  ort ??= await import("./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs"); // so that its absence can be told
  const found = await fetch(`${folder}/model.json`);
  if (!found.ok) throw new Error(`${found.url}: ${found.status}`);
  const names = ["unet", "encoder", "decoder"];
  const networks = await Promise.all(names.map((name) => ort.InferenceSession.create(`${folder}/${name}.onnx`)));
  return new Pipeline(await found.json(), ...networks);
}

class Pipeline {
  constructor(known, unet, encoder, decoder) {
    Object.assign(this, known, { unet, encoder, decoder });
    const { timesteps, ...other } = known.diffusion;
    if (JSON.stringify(other) !== '{"schedule":"cosine","prediction":"v","clip":false}')
      throw new Error(`the page knows no ${JSON.stringify(other)}`);
    this.abar = alphasCumprod(timesteps);
    this.size = known.shape.reduce((a, b) => a * b); // numbers of one x_t
  }

  /** A measure's value at one of PERCENTILES, of all digits. */
  at(name, percentile) {
    return this.quantiles[name].at(-1)[PERCENTILES.indexOf(percentile)];
  }

  /** alpha_t and sigma_t. */
  alphaSigma(t) {
    return [Math.sqrt(this.abar.at(t)), Math.sqrt(1 - this.abar.at(t))];
  }

  /** y, N x (1 + A), of N times what is asked for: {digit, thickness, slant, width}, NaN for any of them missing. */
  conditions(asked) {
    const units = Object.keys(this.quantiles).map((name) => {
      const [low, middle, high] = [5, 50, 95].map((percentile) => this.at(name, percentile));
      return [name, middle, (high - low) / 2];
    });
    const row = (one) => [one.digit ?? NaN, ...units.map(([name, zero, unit]) => ((one[name] ?? NaN) - zero) / unit)];
    return Float32Array.from(asked.flatMap(row));
  }

  /** What the network says of x_t at time step t, under conditions y. */
  async predict(x_t, t, y) {
    const count = x_t.length / this.size;
    const { output } = await this.unet.run({
      x_t: new ort.Tensor("float32", x_t, [count, ...this.shape]),
      t: new ort.Tensor("int64", new BigInt64Array(count).fill(BigInt(t)), [count]),
      y: new ort.Tensor("float32", y, [count, y.length / count]),
    });
    return output.data;
  }

  /** The estimate of x_0 (Salimans and Ho 2022, appendix D), with guidance (Ho and Salimans 2022, equation 6). */
  async denoise(x_t, t, y, guidance) {
    let v = await this.predict(x_t, t, y);
    if (guidance !== 1) {
      const free = await this.predict(
        x_t,
        t,
        y.map(() => NaN),
      );
      v = v.map((value, i) => free[i] + guidance * (value - free[i]));
    }
    const [alpha, sigma] = this.alphaSigma(t);
    return x_t.map((value, i) => alpha * value - sigma * v[i]);
  }

  /** The sampler with what these settings change of the model's own. */
  settings(changes = {}) {
    return { ...this.sampler, ...changes };
  }

  timesteps({ steps, shift }) {
    return samplerTimesteps(this.diffusion.timesteps, steps, shift);
  }

  /**
   * [x_t, x_0] of each step from noise. y: the conditions, or several as [share, y], whose estimates are mixed;
   * change(x_0) is what the sampler sees of each estimate.
   */
  trajectory(x_t, y, settings, { timesteps, change = (x_0) => x_0, noise } = {}) {
    const mixed = y instanceof Float32Array ? [[1, y]] : y;
    const denoise = async (x, t) => {
      const sum = new Float32Array(x.length);
      for (const [share, conditions] of mixed) {
        const x_0 = await this.denoise(x, t, conditions, settings.guidance);
        x_0.forEach((value, i) => (sum[i] += share * value));
      }
      return change(sum);
    };
    return SAMPLERS[settings.name](denoise, x_t, this.abar, timesteps ?? this.timesteps(settings), noise);
  }

  /** The last x_t of a trajectory. */
  async last(trajectory) {
    let result;
    for await (const [x_t] of trajectory) result = x_t;
    return result;
  }

  /** x_t as pixels in -1 to 1, 32 x 32 for each. */
  async decode(x_t) {
    const shape = [x_t.length / this.size, ...this.shape];
    return (await this.decoder.run({ x: new ort.Tensor("float32", x_t, shape) })).output.data;
  }

  /** Pixels in -1 to 1 as x_0. */
  async encode(pixels) {
    const shape = [pixels.length / SIDE ** 2, 1, SIDE, SIDE];
    return (await this.encoder.run({ x: new ort.Tensor("float32", pixels, shape) })).output.data;
  }
}
