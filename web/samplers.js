// common/diffusion/samplers.py in JavaScript: generators of [x_t, the estimate of x_0 that led to it].
//
// denoise(x_t, t) estimates x_0; x_t is a Float32Array, standard normal noise at first; abar is alpha_bar_t, with 1 at its
// end, at(-1); timesteps fall (except in repainting) to -1, the clean image; noise() returns noise of x_t's size.

const mix = (a, x, b, y) => x.map((value, i) => a * value + b * y[i]);

/** Ancestral sampling (Ho et al. 2020, algorithm 2). */
async function* sampleDDPM(denoise, x_t, abar, timesteps, noise) {
  for (let i = 1; i < timesteps.length; i++) {
    const [t, s] = [timesteps[i - 1], timesteps[i]];
    const [abar_t, abar_s] = [abar.at(t), abar.at(s)];
    if (s > t) {
      // back towards the noise (Lugmayr et al. 2022, RePaint, algorithm 1, line 10)
      x_t = mix(Math.sqrt(abar_s / abar_t), x_t, Math.sqrt(1 - abar_s / abar_t), noise());
      yield [x_t, null];
      continue;
    }
    const [alpha, beta] = [abar_t / abar_s, 1 - abar_t / abar_s];
    const x_0 = await denoise(x_t, t);
    x_t = mix((Math.sqrt(abar_s) * beta) / (1 - abar_t), x_0, (Math.sqrt(alpha) * (1 - abar_s)) / (1 - abar_t), x_t);
    if (s >= 0) x_t = mix(1, x_t, Math.sqrt(((1 - abar_s) / (1 - abar_t)) * beta), noise());
    yield [x_t, x_0];
  }
}

/** DDIM (Song et al. 2021, equations 12 and 16). */
async function* sampleDDIM(denoise, x_t, abar, timesteps, noise, eta = 0) {
  for (let i = 1; i < timesteps.length; i++) {
    const [abar_t, abar_s] = [abar.at(timesteps[i - 1]), abar.at(timesteps[i])];
    const x_0 = await denoise(x_t, timesteps[i - 1]);
    const variance = ((eta ** 2 * (1 - abar_s)) / (1 - abar_t)) * (1 - abar_t / abar_s);
    const ratio = Math.sqrt((1 - abar_s - variance) / (1 - abar_t));
    x_t = mix(Math.sqrt(abar_s) - ratio * Math.sqrt(abar_t), x_0, ratio, x_t);
    if (variance > 0) x_t = mix(1, x_t, Math.sqrt(variance), noise());
    yield [x_t, x_0];
  }
}

/** DPM-Solver++(2M) (Lu et al. 2022, algorithm 2), with first-order first and last steps. */
async function* sampleDPMpp2M(denoise, x_t, abar, timesteps) {
  const lambda = (t) => 0.5 * Math.log(abar.at(t) / (1 - abar.at(t)));
  let [previous, previous_h] = [null, null];
  for (let i = 1; i < timesteps.length; i++) {
    const [t, s] = [timesteps[i - 1], timesteps[i]];
    const x_0 = await denoise(x_t, t);
    if (s < 0) return yield [x_0, x_0];
    const h = lambda(s) - lambda(t);
    const slope = h / (2 * previous_h);
    const d = previous ? mix(1 + slope, x_0, -slope, previous) : x_0;
    const ratio = Math.sqrt((1 - abar.at(s)) / (1 - abar.at(t)));
    x_t = mix(ratio, x_t, -Math.sqrt(abar.at(s)) * Math.expm1(-h), d);
    [previous, previous_h] = [x_0, h];
    yield [x_t, x_0];
  }
}

/** Multistep consistency sampling (Song et al. 2023, algorithm 1): each estimate of x_0 gets the next step's noise. */
async function* sampleConsistency(denoise, x_t, abar, timesteps, noise) {
  for (let i = 1; i < timesteps.length; i++) {
    const [t, s] = [timesteps[i - 1], timesteps[i]];
    const x_0 = await denoise(x_t, t);
    x_t = s < 0 ? x_0 : mix(Math.sqrt(abar.at(s)), x_0, Math.sqrt(1 - abar.at(s)), noise());
    yield [x_t, x_0];
  }
}

export const SAMPLERS = { ddpm: sampleDDPM, ddim: sampleDDIM, dpmpp_2m: sampleDPMpp2M, consistency: sampleConsistency };
