/** Let visitors draw on a canvas, light on dark, with mouse, finger or arrow keys (Shift: draw), and clear it by a button;
 * the mark shows the pen's place. */
export function buildPad(canvas, mark, clear) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  Object.assign(context, { lineWidth: 22, lineCap: "round", lineJoin: "round", strokeStyle: "#fff" });
  Object.assign(canvas, { tabIndex: 0, role: "application" });
  canvas.dataset.label = "canvasPad";
  canvas.classList.add("drawn");
  const { width, height } = canvas;
  let pen;
  const line = (to, drawn) => {
    if (drawn) {
      context.beginPath();
      context.moveTo(...pen);
      context.lineTo(...to);
      context.stroke();
    }
    pen = to;
    [mark.style.left, mark.style.top] = [`${(100 * pen[0]) / width}%`, `${(100 * pen[1]) / height}%`];
  };
  const place = ({ offsetX, offsetY }) => {
    const scale = width / canvas.clientWidth;
    return [offsetX * scale, offsetY * scale];
  };
  canvas.onpointerdown = (event) => {
    if (!event.isPrimary || event.button) return;
    canvas.setPointerCapture(event.pointerId);
    pen = place(event);
    line(pen, true);
  };
  canvas.onpointermove = (event) => event.isPrimary && line(place(event), canvas.hasPointerCapture(event.pointerId));
  canvas.onkeydown = (event) => {
    const step = { ArrowLeft: [-12, 0], ArrowRight: [12, 0], ArrowUp: [0, -12], ArrowDown: [0, 12] }[event.key];
    if (!step) return;
    event.preventDefault();
    line([0, 1].map((i) => Math.min(Math.max(pen[i] + step[i], 0), width)), event.shiftKey);
  };
  clear.onclick = () => {
    context.fillRect(0, 0, width, height);
    line([width / 2, height / 2], false);
  };
  clear.onclick();
}

/** Let visitors choose a picture: by file input, drop or paste. Calls show(picture), an ImageBitmap, or fail(). */
export function buildUpload(canvas, input, show, fail) {
  let last; // a large file takes longer to decode than one that is chosen after it
  const take = async (file) => {
    if (!file) return;
    last = file;
    const found = await createImageBitmap(file).catch(() => null);
    if (file !== last) return;
    if (!found) {
      if (input.files[0] === file) input.value = ""; // it names no picture that is shown
      return fail();
    }
    if (input.files[0] !== file) input.value = ""; // another was dropped or pasted
    show(found);
  };
  canvas.role = "img";
  canvas.dataset.label = "canvasChosen";
  input.onclick = () => (input.value = ""); // so that the same file can be chosen again
  input.onchange = () => take(input.files[0]);
  document.ondragover = (event) => event.preventDefault();
  document.ondrop = (event) => {
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  };
  document.onpaste = ({ clipboardData }) => take(clipboardData.files[0]);
}
