import { setImmediate } from 'node:timers/promises';
import { embeddingRows, type FeatureRows } from '../triton-models/metrics/feature-rows.ts';
import type { JudgeWeights } from '../triton-models/metrics/judge-weights.ts';
import { fileKey, type KeptResults } from '../triton-models/metrics/kept-results.ts';
import type { Clip } from '../triton-models/metrics/open-clip.ts';
import type { Protocol } from '../triton-models/metrics/protocol.ts';
import { sampleClip, squaresOf } from '../triton-models/metrics/sample-clip.ts';
import { modelOf } from '../triton-models/packaging/model-set.ts';
import type { FeatureNetworks } from '../triton-models/sources/feature-networks.ts';
import { countDisplay } from './progress.ts';
import { type JudgeOptions, serveJudges } from './serve-judges.ts';

export interface SampledClip {
  kind: 'real' | 'generated';
  name: string;
  clip: Clip;
  /** Number of the first frame that the network sees. */
  start: number;
}

/** A network that looks at videos. */
export interface Looking {
  networks: FeatureNetworks;
  architecture: keyof typeof squaresOf;
  protocol: Protocol;
  options: JudgeOptions;
  kept: KeptResults;
  signal: AbortSignal;
}

/** Outputs of the network for one video. */
interface Looked {
  logits: number[];
  features: number[];
}

/** What a network sees in videos. */
export interface Seen {
  weights: JudgeWeights;
  /** One row a clip, in their order. */
  rowsOf(clips: readonly SampledClip[], output: keyof Looked): FeatureRows;
}

/** Two at a time, so that one is decoded while the network runs on the other. */
const clipsAtOnce = 2;

/** Serves the network while it looks at the clips. */
export async function lookAtClips(clips: readonly SampledClip[], looking: Looking): Promise<Seen> {
  const { networks, architecture, protocol, options, kept, signal } = looking;
  const model = modelOf(networks, architecture).name;
  const { weights, content, run, close } = await serveJudges(networks, options, signal);
  const display = countDisplay(process.stderr, 'videos', clips.length);
  const lookAt = async ({ clip, start }: SampledClip): Promise<Looked> => {
    const key = JSON.stringify([await fileKey(clip.path), start, networks.name, content, protocol]);
    const { value, wasKept } = await kept.get(key, async () => {
      const outputs = await run(model, { video: await sampleClip(clip, start, protocol, squaresOf[architecture]) });
      const rowOf = (output: keyof Looked) => Array.from(embeddingRows(outputs[output]!, clip.path)[0]!);
      return { logits: rowOf('logits'), features: rowOf('features') };
    });
    if (wasKept) {
      display.skip();
    } else {
      display.advance();
    }
    return value;
  };
  const looked = new Map<SampledClip, Looked>();
  const waiting = clips.values();
  const work = async () => {
    for (const clip of waiting) {
      looked.set(clip, await lookAt(clip));
      // Lets Ctrl-C through.
      await setImmediate();
      signal.throwIfAborted();
    }
  };
  try {
    await Promise.all(Array.from({ length: clipsAtOnce }, work));
  } finally {
    display.finish();
    await close();
  }
  return {
    weights,
    rowsOf(some, output) {
      const rows = some.map((clip) => looked.get(clip)![output]);
      return { width: rows[0]!.length, values: Float64Array.from(rows.flat()) };
    },
  };
}
