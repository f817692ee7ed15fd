/*
 * Decodes latents of nano and writes them as MP4, in a process of its own, so that its largest resident set says what a video
 * of this length needs. Arguments: frames, rounds. Writes one JSON object.
 */
import { join } from 'node:path';
import { openMp4Sink } from '../../../gateway/media/mp4-sink.ts';
import { writeFrames } from '../../../gateway/media/write-frames.ts';
import { connectStages } from '../../../gateway/stages/connect-stages.ts';
import { decode } from '../../../gateway/stages/decoder.ts';
import { decoderStage } from '../../../services/decoder/decoder-stage.ts';
import { normalNoise } from '../../../services/diffusion/noise.ts';
import { Scope } from '../../../services/kit/scope.ts';
import { temporaryFolder } from '../../../services/kit/testing/temporary-folder.ts';
import { latentScale } from '../../../services/pipeline/latents.ts';
import { forEachStage } from '../../../services/pipeline/stages.ts';
import { elementCount, tensor } from '../../../services/pipeline/tensor.ts';
import { startBackend } from '../../support/backend.ts';
import { secondsOf } from '../bench.ts';

export interface EncodingRuns {
  /** Seconds of each round. */
  alone: number[];
  written: number[];
  /** The largest resident set. */
  mebibytes: number;
}

const [frames = 0, rounds = 0] = process.argv.slice(2).map(Number);
const scope = new Scope();
const backend = scope.add(await startBackend('nano'));
const address = await backend.start(decoderStage);
const { stages } = scope.add(
  connectStages(
    forEachStage(() => address),
    600,
  ),
);
const { width, height } = backend.preset.frameSize.default;
const shape = [frames, 4, height / latentScale, width / latentScale];
const latents = tensor('float32', shape, normalNoise({ seed: 1n, purpose: 0, draw: 0 }, 0, elementCount(shape)));
const format = { width, height, frames, playbackRate: 30 };
const folder = temporaryFolder(scope);
const decoded = () => decode(stages.decoder, latents, { priority: 0, model: '' }, scope.signal);

const decodeAlone = async () => {
  for await (const _ of decoded()) {
    // Only the time counts.
  }
};
const writeMp4 = () => writeFrames(decoded(), format, [() => openMp4Sink(join(folder, 'video.mp4'), format)]);

await decodeAlone();
const runs: EncodingRuns = { alone: [], written: [], mebibytes: 0 };
for (let round = 0; round < rounds; round++) {
  runs.alone.push(await secondsOf(decodeAlone));
  runs.written.push(await secondsOf(writeMp4));
}
await scope.close();
runs.mebibytes = process.resourceUsage().maxRSS / 1024;
process.stdout.write(JSON.stringify(runs));
