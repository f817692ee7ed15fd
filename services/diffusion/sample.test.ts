import { describe, expect, test } from '@jest/globals';
import { samplerNames } from '../pipeline/preset.ts';
import { noisePurpose } from './noise.ts';
import { type SampleOptions, type SampleStep, sample } from './sample.ts';
import { createSampler } from './samplers/create-sampler.ts';

const length = 3 * 64;
const steps = 6;
const threshold = { itemSize: 64, percentile: 0.98 };

function options(overrides: Partial<SampleOptions> = {}): SampleOptions {
  return {
    stage: 'keyframes',
    sampler: createSampler('ancestral', {
      schedule: 'cosine',
      steps,
      prediction: 'v',
      threshold,
    }),
    length,
    seed: 7n,
    purpose: noisePurpose.keyframes,
    predict: async (latents) => latents.map((value) => -value / 2),
    signal: new AbortController().signal,
    ...overrides,
  };
}

async function finish(changes?: Partial<SampleOptions>): Promise<SampleStep[]> {
  const done: SampleStep[] = [];
  for await (const step of sample(options(changes))) {
    done.push(step);
  }
  return done;
}

describe('sample', () => {
  test('calls the network once a step, noisiest first, and yields after each', async () => {
    const events: string[] = [];
    const predict: SampleOptions['predict'] = async (latents, timestep) => {
      events.push(`predict at ${timestep}`);
      return latents;
    };
    for await (const { step, total } of sample(options({ predict }))) {
      events.push(`${step} of ${total}`);
    }
    const expected = [830, 664, 498, 332, 166, 0].flatMap((t, i) => [`predict at ${t}`, `${i + 1} of 6`]);
    expect(events).toEqual(expected);
  });

  test('the same seed gives the same bytes, another seed or purpose others', async () => {
    const [first, second, otherSeed, otherPurpose] = await Promise.all([
      finish(),
      finish(),
      finish({ seed: 8n }),
      finish({ purpose: noisePurpose.interpolation[0] }),
    ]);
    const states = (run: SampleStep[]) => run.map(({ toArrays, ...state }) => ({ ...state, arrays: toArrays() }));
    expect(states(second)).toEqual(states(first));
    expect(otherSeed.at(-1)!.latents).not.toEqual(first.at(-1)!.latents);
    expect(otherPurpose.at(-1)!.latents).not.toEqual(first.at(-1)!.latents);
  });

  test.each(samplerNames)('%s continues after any step with the same bytes', async (name) => {
    const sampler = createSampler(name, { schedule: 'cosine', steps, prediction: 'v', threshold });
    const whole = await finish({ sampler });
    for (const { step, toArrays } of whole.slice(0, -1)) {
      // As they are stored: copies without the history's structure.
      const arrays = toArrays().map((array) => Float32Array.from(array));
      const rest = await finish({ sampler, from: { step, arrays } });
      expect(rest.map((each) => each.step)).toEqual(whole.slice(step).map((each) => each.step));
      expect(rest.at(-1)!.latents).toEqual(whole.at(-1)!.latents);
    }
    const [{ toArrays }] = whole as [SampleStep];
    const strangers = [
      { step: 0, arrays: toArrays() },
      { step: steps, arrays: toArrays() },
      { step: 1, arrays: [] },
      { step: 1, arrays: toArrays().map((array) => array.slice(1)) },
      { step: 1, arrays: [...toArrays(), ...toArrays(), ...toArrays()] },
    ];
    for (const from of strangers) {
      expect((await finish({ sampler, from })).map((each) => each.step)).toEqual([1, 2, 3, 4, 5, 6]);
    }
  });

  test('an abort reaches the network call in progress', async () => {
    const abort = new AbortController();
    let calls = 0;
    const predict: SampleOptions['predict'] = (_, __, signal) => {
      calls++;
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
        abort.abort();
      });
    };
    await expect(finish({ predict, signal: abort.signal })).rejects.toMatchObject({ name: 'AbortError' });
    expect(calls).toBe(1);
  });

  test('an abort between two steps prevents the next call', async () => {
    const abort = new AbortController();
    let calls = 0;
    const predict: SampleOptions['predict'] = async (latents) => {
      calls++;
      return latents;
    };
    const run = async () => {
      for await (const { step } of sample(options({ predict, signal: abort.signal }))) {
        if (step === 2) {
          abort.abort();
        }
      }
    };
    await expect(run()).rejects.toMatchObject({ name: 'AbortError' });
    expect(calls).toBe(2);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])(
    'a prediction of %s is an error that names stage and step',
    async (bad) => {
      const predict: SampleOptions['predict'] = async (latents) => latents.map((value, i) => (i === 5 ? bad : value));
      await expect(finish({ predict })).rejects.toThrow(
        "keyframes, denoising step 1 of 6: the network's output is not finite",
      );
    },
  );

  test('a prediction of another length is an error', async () => {
    const predict: SampleOptions['predict'] = async () => new Float32Array(5);
    await expect(finish({ predict })).rejects.toThrow('denoising step 1 of 6: 5 values predicted for 192 latents');
  });
});
