import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Bench } from '../bench.ts';
import { type Measured, median } from '../figure.ts';
import type { EncodingRuns } from './encoding-child.ts';

/** What writing a video adds to decoding it, and whether its memory grows with its length. */
export async function measureEncoding(bench: Bench): Promise<Measured> {
  await bench.repository();
  bench.progress('57 frames');
  const short = await run(57, bench.options.rounds);
  bench.progress('225 frames');
  const long = await run(225, bench.options.rounds);
  return {
    figures: [
      {
        what: 'decode → MP4 ÷ decode alone, 225 frames',
        value: median(long.written.map((seconds, round) => seconds / long.alone[round]!)),
        goal: { most: 1.15 },
        parts: { 'MP4, s': median(long.written), 'alone, s': median(long.alone) },
      },
      {
        what: 'memory of decode → MP4, 225 ÷ 57 frames',
        value: long.mebibytes / short.mebibytes,
        goal: { most: 1.1 },
        parts: { '225 frames, MiB': long.mebibytes, '57 frames, MiB': short.mebibytes },
      },
    ],
  };
}

async function run(frames: number, rounds: number): Promise<EncodingRuns> {
  const child = fileURLToPath(new URL('./encoding-child.js', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [child, String(frames), String(rounds)]);
  return JSON.parse(stdout);
}
