/** Standard normal numbers, a function of the seed: Box-Muller transform of mulberry32's uniform numbers. */
function normals(seed, count) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return Float32Array.from({ length: count }, () => {
    return Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  });
}

/** A function that returns new noise at each call for the pictures with these indices; depends on seed, index, call. */
export function noiseOf(seed, indices, size) {
  let calls = 0;
  return () => {
    const result = new Float32Array(indices.length * size);
    indices.forEach((index, k) => result.set(normals(scrambled(scrambled(scrambled(seed) ^ index) ^ calls), size), k * size));
    calls += 1;
    return result;
  };
}

/** Hash an integer (the finalizer of MurmurHash3). */
function scrambled(x) {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** Spherical interpolation between noise a (share 0) and noise b (share 1) (Shoemake 1985). */
export function slerp(a, b, share) {
  const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0);
  const angle = Math.acos(Math.min(1, Math.max(-1, dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)))));
  if (angle < 1e-6) return a;
  return a.map((x, i) => (Math.sin((1 - share) * angle) * x + Math.sin(share * angle) * b[i]) / Math.sin(angle));
}
