/** Have a canvas drawn on, light on dark, with mouse, finger or the arrow keys (Shift: draw), and cleared by a button. */
export function buildPad(canvas, clear) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  Object.assign(context, { lineWidth: 22, lineCap: "round", lineJoin: "round", strokeStyle: "#fff" });
  let pen = [132, 132];
  const line = (to, drawn) => {
    if (drawn) {
      context.beginPath();
      context.moveTo(...pen);
      context.lineTo(...to);
      context.stroke();
    }
    pen = to;
  };
  const place = ({ offsetX, offsetY }) => {
    const scale = canvas.width / canvas.clientWidth;
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
    line([pen[0] + step[0], pen[1] + step[1]], event.shiftKey);
  };
  clear.onclick = () => context.fillRect(0, 0, canvas.width, canvas.height);
  clear.onclick();
}
