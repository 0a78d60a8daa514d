#!/usr/bin/env bash
# onnxruntime-web 1.30.0 (its part onnxruntime-common): toImageData() does not undo fromImage().
#
# Expected: a picture that Tensor.fromImage() made a tensor of comes back from toImageData() with the same options, as
# it does without any; and a grey tensor gives a grey picture, or an error. Seen: fromImage() computes (pixel + bias) /
# mean, toImageData() (value - bias) * mean, so with the norm of [-1, 1], as diffusion models want it, every picture is
# white. Of a "BGR" tensor red and blue are swapped; a tensor that is said to be "NHWC" is read as if it were NCHW; of a
# grey one the missing green and blue are 0, so that a digit is red on black. No word comes. Cure: fill an ImageData by
# hand; of [-1, 1] alone, bias -1 and mean 127.5. Shown in Node.js with a stand-in for the canvas, which only keeps
# pixels.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --prefix "$folder" onnxruntime-common@1.30.0 >/dev/null
cat >"$folder/program.mjs" <<'JAVASCRIPT'
import { Tensor } from "onnxruntime-common";

globalThis.ImageData = class {
  constructor(data, width, height) {
    Object.assign(this, { data, width, height });
  }
};
globalThis.OffscreenCanvas = class {
  getContext() {
    return {
      createImageData: (width, height) => new ImageData(new Uint8ClampedArray(4 * width * height), width, height),
      putImageData: (image) => (this.image = image),
      getImageData: () => this.image,
    };
  }
};

const rgb = (data) => [...data].filter((_, i) => i % 4 < 3).join(" "); // without alpha, which is 255
const picture = new ImageData(new Uint8ClampedArray([10, 20, 30, 255, 200, 100, 50, 255]), 2, 1);
console.log("picture ", rgb(picture.data));
const norm = { mean: 127.5, bias: -127.5 };
for (const [name, from, to] of [
  ["as it is", undefined, undefined],
  ["[-1, 1] ", { tensorFormat: "RGB", norm }, { format: "RGB", norm }],
  ["BGR     ", { tensorFormat: "BGR" }, { format: "BGR" }],
]) {
  console.log(name, rgb((await Tensor.fromImage(picture, from)).toImageData(to).data));
}
const values = rgb(picture.data).split(" ").map((value) => value / 255);
const nhwc = new Tensor("float32", values, [1, 1, 2, 3]);
console.log("NHWC    ", rgb(nhwc.toImageData({ format: "RGB", tensorLayout: "NHWC" }).data));
console.log("grey    ", rgb(new Tensor("float32", [0.2, 1], [1, 1, 1, 2]).toImageData().data));
JAVASCRIPT
node "$folder/program.mjs" | tee "$folder/out"
expected="picture  10 20 30 200 100 50
as it is 10 20 30 200 100 50
[-1, 1]  255 255 255 255 255 255
BGR      30 20 10 50 100 200
NHWC     10 30 100 20 200 50
grey     51 0 0 255 0 0"
[ "$(cat "$folder/out")" = "$expected" ] || { echo "changed"; exit 1; }
