// Unpacks a network's weights from publish/graph.py: half precision, and for some convolutions 3x3 taps only.

/** The values of all 65,536 half-precision numbers (IEEE 754). */
function allHalves() {
  const result = new Float32Array(65536);
  for (let half = 0; half < 65536; half++) {
    const [exponent, fraction] = [(half >> 10) & 31, half & 1023];
    const size = exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24;
    result[half] = exponent < 31 ? (half >> 15 ? -size : size) : NaN;
  }
  return result;
}

/** Transform three taps, p apart, to six numbers: G of Winograd's F(4, 3) (Lavin and Gray 2016). */
function spread(from, i, p, to, k, q) {
  const [a, b, c] = [from[i], from[i + p], from[i + 2 * p]];
  const [outer, odd, even] = [(a + c) / 6, b / 12, a / 24 + c / 6];
  to[k] = a / 4;
  to[k + q] = -outer - b / 6;
  to[k + 2 * q] = b / 6 - outer;
  to[k + 3 * q] = even + odd;
  to[k + 4 * q] = even - odd;
  to[k + 5 * q] = c;
}

let table;

/** The weights as float32. The first size counts the numbers stored unchanged; each other one the pairs of channels of a
 * convolution, whose 9 taps become 36 numbers. */
export function unpacked(bytes, [plain, ...pairs]) {
  table ??= allHalves();
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  const result = new Float32Array(plain + 36 * pairs.reduce((a, b) => a + b, 0));
  for (let i = 0; i < plain; i++) result[i] = table[halves[i]];
  const [taps, rows] = [new Float32Array(9), new Float32Array(18)];
  let [from, to] = [plain, plain];
  for (const count of pairs) {
    for (let i = 0; i < count; i++) {
      for (let k = 0; k < 9; k++) taps[k] = table[halves[from + k * count + i]];
      for (let k = 0; k < 3; k++) spread(taps, k, 3, rows, k, 3); // G g, 6 x 3
      for (let k = 0; k < 6; k++) spread(rows, 3 * k, 1, result, to + 6 * k * count + i, count); // (G g) G^T
    }
    from += 9 * count;
    to += 36 * count;
  }
  return result;
}
