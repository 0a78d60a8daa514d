// common/diffusion/edit.py in JavaScript: repaint a part, vary the whole; and preprocessing of a visitor's drawing or
// picture.
import { resampled } from "./schedule.js";

const LARGEST = 2048; // pixels to a side of a canvas: Safari leaves one of 17 million pixels and more empty
const [STEPS, TIMES] = [10, 4]; // steps of repaint, and times that each is taken, fewer than in Python for speed

/** Resample pixels where the mask is 0 (1: kept) (Wang et al. 2023, DDNM; Lugmayr et al. 2022, RePaint). */
export async function repaint(pipeline, pixels, mask, conditions, noise, guidance) {
  const steps = Math.min(STEPS, pipeline.known.diffusion.timesteps);
  const settings = { ...pipeline.sampler, name: "ddpm", steps, shift: 1, end: 1, guidance };
  const timesteps = resampled(pipeline.timesteps(settings), TIMES);
  const withKnown = (drawn) => drawn.map((value, i) => (mask[i % mask.length] ? pixels[i] : value));
  const change = async (x_0) => pipeline.encode(withKnown(await pipeline.decode(x_0)));
  const x_0 = await pipeline.last(pipeline.trajectory(noise, conditions, settings, { timesteps, change }));
  return withKnown(await pipeline.decode(x_0));
}

/** Add the noise of time step strength * timesteps to pixels, then denoise (Meng et al. 2022, SDEdit, section 3). */
export async function vary(pipeline, pixels, strength, conditions, noise, settings) {
  const start = Math.round(strength * pipeline.known.diffusion.timesteps) - 1;
  if (start < 0) return pipeline.decode(await pipeline.encode(pixels));
  const timesteps = [start, ...pipeline.timesteps(settings).filter((t) => t < start)];
  const [alpha, sigma] = pipeline.alphaSigma(start);
  const [x_0, eps] = [await pipeline.encode(pixels), noise()];
  const x_t = x_0.map((value, i) => alpha * value + sigma * eps[i]);
  return pipeline.decode(await pipeline.last(pipeline.trajectory(noise, conditions, settings, { x_t, timesteps })));
}

/**
 * A drawing, light on dark in a square canvas, as pixels in -1 to 1 of this shape, preprocessed like MNIST: scaled to fit
 * 20x20 of 28x28, centre of mass at pixel 14, 14, then resized (LeCun et al. 1998, section III.A). null if nothing is
 * drawn.
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
  const centre = (14.5 / 28) * side; // centre of pixel 14, scaled
  const within = (values, [low, high]) =>
    Math.min(Math.max(centre - scale * (mean(values) + 0.5), -scale * low), side - scale * (high + 1));
  const [x, y] = [within(xs, [left, right]), within(ys, [top, bottom])];
  small.fillRect(0, 0, side, side);
  small.drawImage(canvas, x, y, scale * width, scale * height);
  const fitted = small.getImageData(0, 0, side, side).data;
  return Float32Array.from({ length: channels * side ** 2 }, (_, i) => fitted[4 * (i % side ** 2)] / 127.5 - 1);
}

/**
 * A picture, ImageBitmap or canvas, as pixels in -1 to 1 of this shape, preprocessed like the data: cropped to the centre,
 * or padded with its border's colour (common/data/pictures.py); transparent pixels become white.
 */
export function pictured(picture, [channels, height, width], how) {
  const most = Math.min(1, LARGEST / Math.max(picture.width, picture.height));
  const [W, H] = [picture.width, picture.height].map((side) => Math.max(1, Math.round(most * side)));
  const opaque = new OffscreenCanvas(W, H);
  const whole = opaque.getContext("2d");
  whole.fillStyle = "#fff";
  whole.fillRect(0, 0, W, H);
  whole.imageSmoothingQuality = "high";
  whole.drawImage(picture, 0, 0, W, H);
  const small = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  const scales = [width / W, height / H];
  small.imageSmoothingQuality = "high";
  if (how === "pad") {
    small.drawImage(opaque, 0, 0, width, height); // the whole picture, for the colour of its border
    const all = small.getImageData(0, 0, width, height).data;
    const edge = Array.from({ length: width * height }, (_, i) => i).filter((i) => {
      const [x, y] = [i % width, Math.floor(i / width)];
      return x === 0 || y === 0 || x === width - 1 || y === height - 1;
    });
    const middle = (c) => edge.map((i) => all[4 * i + c]).sort((a, b) => a - b)[Math.floor(edge.length / 2)];
    small.fillStyle = `rgb(${middle(0)} ${middle(1)} ${middle(2)})`;
    small.fillRect(0, 0, width, height);
  }
  const scale = how === "pad" ? Math.min(...scales) : Math.max(...scales);
  small.drawImage(opaque, (width - scale * W) / 2, (height - scale * H) / 2, scale * W, scale * H);
  const rgba = small.getImageData(0, 0, width, height).data;
  const size = height * width;
  const value = (i) => {
    if (channels > 1) return rgba[4 * (i % size) + Math.floor(i / size)];
    return 0.299 * rgba[4 * i] + 0.587 * rgba[4 * i + 1] + 0.114 * rgba[4 * i + 2];
  };
  return Float32Array.from({ length: channels * size }, (_, i) => value(i) / 127.5 - 1);
}
