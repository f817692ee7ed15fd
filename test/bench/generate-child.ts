import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageRoot } from '../../services/kit/package-root.ts';
import { makeTemporaryFolder } from '../../services/kit/temporary-folder.ts';
import { stages } from '../../services/pipeline/stages.ts';
import { startCli } from '../support/cli.ts';

export interface GenerateRun {
  /** Time of all stages, without the start. */
  seconds: number;
  secondsPerStage: { stage: string; seconds: number }[];
  /** From the start of the process to the first denoising step. */
  secondsToFirstStep: number;
  /** Largest resident set of the process; PostgreSQL is another one. */
  mebibytes: number;
}

/** Runs `fusionframes generate` in a process of its own. */
export async function generateInChild(flags: readonly string[]): Promise<GenerateRun> {
  const folder = makeTemporaryFolder();
  try {
    const reporter = pathToFileURL(join(packageRoot, 'dist', 'test', 'bench', 'report-memory.js'));
    const started = performance.now();
    const { child, finished } = startCli(
      ['generate', 'a red circle', '--json', '--output', join(folder, 'video.mp4'), '--seed', '7', ...flags],
      { NODE_OPTIONS: `--import=${reporter}`, FUSIONFRAMES_LOG_LEVEL: 'error' },
    );
    let secondsToFirstStep = 0;
    let written = '';
    child.stderr!.on('data', (text) => {
      written += text;
      if (secondsToFirstStep === 0 && written.includes(`${stages.keyframes.label}: started`)) {
        secondsToFirstStep = (performance.now() - started) / 1000;
      }
    });
    const { code, stdout, stderr } = await finished;
    const resident = /largest resident set: (\d+)/.exec(stderr)?.[1];
    if (code !== 0 || resident === undefined) {
      throw new Error(`generate ended with ${code}: ${stderr}`);
    }
    const { secondsPerStage } = JSON.parse(stdout) as Pick<GenerateRun, 'secondsPerStage'>;
    const seconds = secondsPerStage.reduce((total, stage) => total + stage.seconds, 0);
    return { seconds, secondsPerStage, secondsToFirstStep, mebibytes: Number(resident) / 1024 };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
