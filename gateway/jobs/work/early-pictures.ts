import { join } from 'node:path';
import type { DecoderServiceDefinition } from '../../../proto/gen/fusionframes/v1/decoder.ts';
import type { Logger } from '../../../services/kit/log.ts';
import { record } from '../../../services/kit/telemetry/metrics.ts';
import { latentScale } from '../../../services/pipeline/latents.ts';
import { elementCount, type Tensor, tensor } from '../../../services/pipeline/tensor.ts';
import { loadMedia } from '../../media/load-media.ts';
import { marked, type Watermark } from '../../media/watermark.ts';
import { writeFrames } from '../../media/write-frames.ts';
import { decode } from '../../stages/decoder.ts';
import type { Stage } from '../../stages/stage-call.ts';
import type { JobLedger } from '../store/job-ledger.ts';
import type { JobOutput } from './job-output.ts';

/** Pictures in the preview: one row of the storyboard, spread over the keyframes. */
const previewPictures = 5;

export interface EarlyPicturesOptions {
  decoder: Stage<DecoderServiceDefinition>;
  ledger: JobLedger;
  output: JobOutput;
  watermark: Watermark | undefined;
  /** The job's. */
  priority: number;
  /** When the job was created. */
  createdAt: Date;
  log: Logger;
  signal: AbortSignal;
}

/**
 * Decodes pictures of an unfinished video while its stages run. Failures are only logged, because the video does not
 * depend on these pictures.
 */
export class EarlyPictures {
  readonly #options: EarlyPicturesOptions;
  readonly #stopped = new AbortController();
  readonly #signal: AbortSignal;
  #work: Promise<void> = Promise.resolve();

  constructor(options: EarlyPicturesOptions) {
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, this.#stopped.signal]);
  }

  /** Starts a picture of keyframe latents [T, 4, h, w], unless an earlier attempt made it. */
  show(name: 'preview' | 'storyboard', latents: Tensor<'float32'> | (() => Promise<Tensor<'float32'>>)): void {
    const { ledger, log } = this.#options;
    if (ledger.status.files[name]) {
      return;
    }
    this.#work = this.#work
      .then(async () => this.#make(name, typeof latents === 'function' ? await latents() : latents))
      .catch((error) => {
        if (!this.#signal.aborted) {
          log.warn({ err: error }, `cannot make the ${name}`);
        }
      });
  }

  /** Abandons unfinished pictures. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#work;
  }

  async #make(name: 'preview' | 'storyboard', keyframes: Tensor<'float32'>): Promise<void> {
    this.#signal.throwIfAborted();
    const { decoder, ledger, output, watermark, priority, createdAt } = this.#options;
    const latents = name === 'preview' ? spread(keyframes, previewPictures) : keyframes;
    const [frames = 0, , height = 0, width = 0] = latents.shape;
    const format = { frames, width: width * latentScale, height: height * latentScale, playbackRate: 1 };
    // The finished video's storyboard has a name of its own.
    const file = `early-${name}.png`;
    const write = (folder: string) =>
      writeFrames(marked(decode(decoder, latents, { priority, model: '' }, this.#signal), format, watermark), format, [
        // Loaded when needed, like all encoders.
        async () => {
          await loadMedia();
          return (await import('../../media/storyboard-sink.ts')).openStoryboardSink(join(folder, file), format, 1);
        },
      ]);
    const made = await output.make(write, { [file]: 'image/png' });
    this.#signal.throwIfAborted();
    if (name === 'preview') {
      record('fusionframes.job.preview.wait', (Date.now() - createdAt.getTime()) / 1000, {});
    }
    ledger.change('preview', { files: { ...ledger.status.files, [name]: made[file]! } });
  }
}

/** `count` evenly spaced frames of a video, starting with the first. */
function spread({ shape, data }: Tensor<'float32'>, count: number): Tensor<'float32'> {
  const [frames = 0, ...frameShape] = shape;
  const length = elementCount(frameShape);
  const chosen = Math.min(count, frames);
  const spread = new Float32Array(chosen * length);
  for (let index = 0; index < chosen; index++) {
    const frame = Math.floor((index * frames) / chosen);
    spread.set(data.subarray(frame * length, (frame + 1) * length), index * length);
  }
  return tensor('float32', [chosen, ...frameShape], spread);
}
