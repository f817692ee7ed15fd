import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageRoot } from '../../services/kit/package-root.ts';
import { makeTemporaryFolder } from '../../services/kit/temporary-folder.ts';
import { stages } from '../../services/pipeline/stages.ts';
import { startCli } from '../support/cli.ts';
import { processorSecondsOf } from './processor-seconds.ts';

/** Processor time is what a busy machine disturbs least. */
export interface GenerateRun {
  /** From the start of the process to the first denoising step. */
  secondsToFirstStep: number;
  /** The same in processor time; 0 on systems other than Linux. */
  processorSecondsToFirstStep: number;
  /** Processor time from then to the end. */
  processorSeconds: number;
  /** Largest resident set of the process; PostgreSQL is another one. */
  mebibytes: number;
}

/** Runs `fusionframes generate` in a process of its own. */
export async function generateInChild(flags: readonly string[]): Promise<GenerateRun> {
  const folder = makeTemporaryFolder();
  try {
    const reporter = pathToFileURL(join(packageRoot, 'dist', 'test', 'bench', 'report-usage.js'));
    const started = performance.now();
    const { child, finished } = startCli(
      ['generate', 'a red circle', '--output', join(folder, 'video.mp4'), '--seed', '7', ...flags],
      { NODE_OPTIONS: `--import=${reporter}`, FUSIONFRAMES_LOG_LEVEL: 'error' },
    );
    let [secondsToFirstStep, processorSecondsToFirstStep] = [0, 0];
    let written = '';
    child.stderr!.on('data', (text) => {
      written += text;
      if (secondsToFirstStep === 0 && written.includes(`${stages.keyframes.label}: started`)) {
        secondsToFirstStep = (performance.now() - started) / 1000;
        processorSecondsToFirstStep = processorSecondsOf(child.pid!);
      }
    });
    const { code, stderr } = await finished;
    const [, resident, processor] = /largest resident set: (\d+), processor time: (\d+)/.exec(stderr) ?? [];
    if (code !== 0 || resident === undefined) {
      throw new Error(`generate ended with ${code}: ${stderr}`);
    }
    const processorSeconds = Number(processor) / 1e6 - processorSecondsToFirstStep;
    return { secondsToFirstStep, processorSecondsToFirstStep, processorSeconds, mebibytes: Number(resident) / 1024 };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
