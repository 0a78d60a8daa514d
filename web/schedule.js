// common/diffusion/schedule.py in JavaScript: noise schedules and time steps.

/** alpha_bar_t, timesteps + 1 numbers; the last is 1: the clean image (Ho et al. 2020; Nichol and Dhariwal 2021; Lipman et al. 2023). */
export function alphasCumprod({ timesteps, schedule }) {
  const alphaBar = {
    cosine: (t) => Math.cos(((t + 0.008) / 1.008) * (Math.PI / 2)) ** 2,
    flow: (t) => (1 - t) ** 2 / ((1 - t) ** 2 + t ** 2),
  }[schedule];
  const linear = (t) => (1000 / timesteps) * (1e-4 + (0.02 - 1e-4) * (t / (timesteps - 1)));
  const beta = alphaBar ? (t) => 1 - alphaBar((t + 1) / timesteps) / alphaBar(t / timesteps) : linear;
  const result = [];
  for (let t = 0, product = 1; t < timesteps; t++) result.push((product *= 1 - Math.min(beta(t), 0.999)));
  return [...result, 1];
}

/** Round to the nearest integer, halves to even, as numpy does. */
const round = (x) => (x % 1 === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));

/** The time steps at which a sampler calls the network, then -1 (Lin et al. 2024, table 2; Esser et al. 2024, equation 23). */
export function samplerTimesteps(timesteps, steps, shift, end = 1) {
  const calls = [];
  for (let left = steps; left > 0; left--) {
    const even = (left - ((1 - end) * (steps - left)) / Math.max(steps - 1, 1)) / steps;
    const call = round((timesteps * shift * even) / (1 + (shift - 1) * even)) - 1;
    const latest = calls.length ? calls.at(-1) - 1 : timesteps - 1; // no time step occurs twice,
    calls.push(Math.max(Math.min(call, latest), left - 1)); // and one remains for each later call
  }
  return [...calls, -1];
}

/** The time steps with each step but the last repeated `times` times (Lugmayr et al. 2022, RePaint, algorithm 1). */
export function resampled(timesteps, times) {
  const result = [timesteps[0]];
  for (let i = 1; i < timesteps.length; i++) {
    const [t, s] = [timesteps[i - 1], timesteps[i]];
    for (let k = 1; k < times && s >= 0; k++) result.push(s, t);
    result.push(s);
  }
  return result;
}
