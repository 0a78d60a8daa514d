/** Have a canvas drawn on, light on dark, with mouse, finger or the arrow keys (Shift: draw), and cleared by a button;
 * the mark shows where the pen is. */
export function buildPad(canvas, mark, clear) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  Object.assign(context, { lineWidth: 22, lineCap: "round", lineJoin: "round", strokeStyle: "#fff" });
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
    if (!event.isPrimary) return;
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
