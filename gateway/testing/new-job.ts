import type { NewJob } from '../jobs/job.ts';

const sampling = { sampler: 'ddim', steps: 3, guidanceScale: 2 } as const;

/** A small job, with the largest seed. */
export const newJob: NewJob = {
  clientId: '',
  fingerprint: 'a',
  settings: {
    prompt: 'a red circle',
    negativePrompt: '',
    seed: 2n ** 64n - 1n,
    frameRate: 'low',
    width: 64,
    height: 64,
    keyframes: sampling,
    interpolation: sampling,
    format: 'mp4',
    keepFrames: false,
  },
  warnings: ['careful'],
  priority: 0,
  previews: false,
  webhook: undefined,
};
