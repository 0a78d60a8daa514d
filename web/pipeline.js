// common/diffusion/model.py and pytorch/model/ddpm.py again, over ONNX files. Arrays are Float32Arrays.
import { SAMPLERS } from "./samplers.js";
import { alphasCumprod, samplerTimesteps } from "./schedule.js";

let ort;

const product = (shape) => shape.reduce((a, b) => a * b);

/** An array as a batch of so many of this shape as it holds. */
const tensor = (array, shape) => new ort.Tensor("float32", array, [array.length / product(shape), ...shape]);

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
    const { timesteps, ...process } = known.diffusion;
    const other = JSON.stringify({ ...process, eta: known.sampler.eta });
    if (other !== '{"schedule":"cosine","prediction":"v","eta":0}') throw new Error(`the page knows no ${other}`);
    this.abar = alphasCumprod(timesteps);
    this.size = product(known.shape); // numbers of one x_t
  }

  /** A measure's value at one of the percentiles, of all digits. */
  at(name, percentile) {
    return this.spec.measures[name].rows.at(-1)[this.percentiles.indexOf(percentile)];
  }

  /** alpha_t and sigma_t. */
  alphaSigma(t) {
    return [Math.sqrt(this.abar.at(t)), Math.sqrt(1 - this.abar.at(t))];
  }

  /** y, N x (1 + A), of N times what is asked for, {digit, and any of the measures}: NaN for what is missing. */
  conditions(asked) {
    const units = Object.keys(this.spec.measures).map((name) => {
      const [low, middle, high] = [5, 50, 95].map((percentile) => this.at(name, percentile));
      return [name, middle, (high - low) / 2 || 1];
    });
    const row = (one) => [one.digit ?? NaN, ...units.map(([name, zero, unit]) => ((one[name] ?? NaN) - zero) / unit)];
    return Float32Array.from(asked.flatMap(row));
  }

  /** What the network says of x_t at time step t, under conditions y. */
  async predict(x_t, t, y) {
    const count = x_t.length / this.size;
    const { output } = await this.unet.run({
      x_t: tensor(x_t, this.shape),
      t: new ort.Tensor("int64", new BigInt64Array(count).fill(BigInt(t)), [count]),
      y: tensor(y, [y.length / count]),
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
   * [x_t, x_0] of each step from noise(), or from another x_t over other time steps. y: the conditions, or several as
   * [share, y], whose estimates are mixed; change(x_0) is what the sampler sees of each estimate.
   */
  trajectory(noise, y, settings, { x_t = noise(), timesteps, change = (x_0) => x_0 } = {}) {
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

  /** x_t as pixels in -1 to 1, an image of the data's shape for each. */
  async decode(x_t) {
    return (await this.decoder.run({ x: tensor(x_t, this.shape) })).output.data;
  }

  /** Pixels in -1 to 1 as x_0. */
  async encode(pixels) {
    return (await this.encoder.run({ x: tensor(pixels, this.spec.shape) })).output.data;
  }
}
