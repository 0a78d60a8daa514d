// common/diffusion/schedule.py again: the numbers of diffusion.

/** alpha_bar_t, timesteps + 1 numbers; the last is 1: the clean image (Nichol and Dhariwal 2021, equation 17). */
export function alphasCumprod(timesteps) {
  const f = (t) => Math.cos(((t / timesteps + 0.008) / 1.008) * (Math.PI / 2)) ** 2;
  const beta = (t) => Math.min(1 - f(t + 1) / f(t), 0.999);
  const result = [];
  for (let t = 0, product = 1; t < timesteps; t++) result.push((product *= 1 - beta(t)));
  return [...result, 1];
}

/** To the nearest integer, halves to the even one, as numpy rounds. */
const round = (x) => (x % 1 === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));

/** Where a sampler calls the network, then -1 (Lin et al. 2024, table 2; Esser et al. 2024, equation 23). */
export function samplerTimesteps(timesteps, steps, shift) {
  const calls = [];
  for (let left = steps; left > 0; left--) {
    const even = left / steps;
    const call = round((timesteps * shift * even) / (1 + (shift - 1) * even)) - 1;
    const latest = calls.length ? calls.at(-1) - 1 : timesteps - 1; // no time step twice,
    calls.push(Math.max(Math.min(call, latest), left - 1)); // and one left for each call
  }
  return [...calls, -1];
}

/** The time steps with each step, but for the last, taken so many times (Lugmayr et al. 2022, algorithm 1). */
export function resampled(timesteps, times) {
  const result = [timesteps[0]];
  for (let i = 1; i < timesteps.length; i++) {
    const [t, s] = [timesteps[i - 1], timesteps[i]];
    for (let k = 1; k < times && s >= 0; k++) result.push(s, t);
    result.push(s);
  }
  return result;
}
