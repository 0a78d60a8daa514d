// common/diffusion/edit.py again: a part drawn anew, the whole varied; and a visitor's drawing made a digit of MNIST's.
import { resampled } from "./schedule.js";

const [STEPS, TIMES] = [10, 4]; // of repaint, and how often each is taken: fewer times than Python's, for speed

/** Pixels whose part outside the mask (1: kept) is drawn anew (Wang et al. 2023, DDNM; Lugmayr et al. 2022, RePaint). */
export async function repaint(pipeline, pixels, mask, y, noise, guidance) {
  const settings = pipeline.settings({ name: "ddpm", steps: STEPS, shift: 1, guidance });
  const timesteps = resampled(pipeline.timesteps(settings), TIMES);
  const putIn = (drawn) => drawn.map((value, i) => (mask[i % mask.length] ? pixels[i] : value));
  const change = async (x_0) => pipeline.encode(putIn(await pipeline.decode(x_0)));
  const x_0 = await pipeline.last(pipeline.trajectory(noise, y, settings, { timesteps, change }));
  return putIn(await pipeline.decode(x_0));
}

/** Pixels noised for a share of the time steps, then denoised (Meng et al. 2022, SDEdit, algorithm 1). */
export async function vary(pipeline, pixels, strength, y, noise, settings) {
  const start = Math.round(strength * pipeline.diffusion.timesteps) - 1;
  if (start < 0) return pipeline.decode(await pipeline.encode(pixels));
  const timesteps = [start, ...pipeline.timesteps(settings).filter((t) => t < start)];
  const [alpha, sigma] = pipeline.alphaSigma(start);
  const [x_0, eps] = [await pipeline.encode(pixels), noise()];
  const x_t = x_0.map((value, i) => alpha * value + sigma * eps[i]);
  return pipeline.decode(await pipeline.last(pipeline.trajectory(noise, y, settings, { x_t, timesteps })));
}

/**
 * A drawing, light on dark in a square canvas, as pixels in -1 to 1 of this shape, made as MNIST's were: fitted into
 * 20x20 of 28x28, its centre of mass at pixel 14, 14, then resized (LeCun et al. 1998, section III.A). null where
 * nothing is drawn.
 */
export function fitted(canvas, [channels, side]) {
  const { width, height } = canvas;
  const grey = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  const ink = Array.from({ length: width * height }, (_, i) => grey[4 * i]);
  const where = ink.flatMap((value, i) => (value > 50 ? [i] : []));
  if (!where.length) return null;
  const [xs, ys] = [where.map((i) => i % width), where.map((i) => Math.floor(i / width))];
  const bounds = (values) => values.reduce(([low, high], x) => [Math.min(low, x), Math.max(high, x)], [1e9, -1]);
  const [[left, right], [top, bottom]] = [bounds(xs), bounds(ys)];
  const mean = (values) => values.reduce((a, b) => a + b) / values.length;
  const scale = ((20 / 28) * side) / (Math.max(right - left, bottom - top) + 1);
  const small = new OffscreenCanvas(side, side).getContext("2d", { willReadFrequently: true });
  small.imageSmoothingQuality = "high";
  const centre = (14.5 / 28) * side; // of that pixel
  const [x, y] = [centre - scale * (mean(xs) + 0.5), centre - scale * (mean(ys) + 0.5)];
  small.fillRect(0, 0, side, side);
  small.drawImage(canvas, x, y, scale * width, scale * height);
  const fitted = small.getImageData(0, 0, side, side).data;
  return Float32Array.from({ length: channels * side ** 2 }, (_, i) => fitted[4 * (i % side ** 2)] / 127.5 - 1);
}
