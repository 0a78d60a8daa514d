// Painting pictures on canvases, and saving canvases to files.
import { element } from "./dom.js";

const COLUMNS = 5;

/** Resize a canvas to a grid of `count` pictures with a gap of one pixel, which clears it; keep it if the size fits. */
export function fit(canvas, count, [, height, width]) {
  const columns = Math.min(count, COLUMNS);
  const size = [columns * (width + 1) - 1, Math.ceil(count / columns) * (height + 1) - 1];
  if (size[0] === canvas.width && size[1] === canvas.height) return;
  [canvas.width, canvas.height] = size;
}

/** Paint pixels in -1 to 1 as pictures of a grid, from index `first` on. */
export function paint(canvas, pixels, shape, first = 0) {
  const [channels, height, width] = shape;
  const size = height * width;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const columns = Math.min(COLUMNS, (canvas.width + 1) / (width + 1));
  for (let k = 0; k < pixels.length / (channels * size); k++) {
    const image = new ImageData(width, height);
    for (let i = 0; i < size; i++) {
      for (let c = 0; c < 3; c++) {
        const plane = k * channels + Math.min(c, channels - 1); // grey is repeated three times
        image.data[4 * i + c] = (pixels[plane * size + i] + 1) * 127.5;
      }
      image.data[4 * i + 3] = 255;
    }
    const place = first + k;
    context.putImageData(image, (width + 1) * (place % columns), (height + 1) * Math.floor(place / columns));
  }
}

/** A copy of a canvas enlarged by whole pixels to a width of 640 or more. */
function enlarged(canvas) {
  const scale = Math.ceil(640 / canvas.width);
  const result = element("canvas", { width: scale * canvas.width, height: scale * canvas.height });
  copy(canvas, result);
  return result;
}

function copy(from, to) {
  const context = to.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(from, 0, 0, to.width, to.height);
}

function download(blob, name) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

export function savePNG(canvas, name) {
  enlarged(canvas).toBlob((blob) => download(blob, `${name}.png`), "image/png");
}

/** Save frames, canvases of one size, as a video: WebM if the browser supports it, else MP4. */
export async function saveVideo(frames, name, milliseconds = 80) {
  const canvas = enlarged(frames[0]);
  const type = ["video/webm", "video/mp4"].find((type) => MediaRecorder.isTypeSupported(type));
  const recorder = new MediaRecorder(canvas.captureStream(), { mimeType: type, videoBitsPerSecond: 4e6 });
  const pieces = [];
  recorder.ondataavailable = ({ data }) => pieces.push(data);
  const stopped = new Promise((resolve) => (recorder.onstop = resolve));
  recorder.start();
  for (const frame of frames) {
    copy(frame, canvas);
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
  }
  recorder.stop();
  await stopped;
  download(new Blob(pieces, { type }), `${name}.${type.slice(6)}`);
}
