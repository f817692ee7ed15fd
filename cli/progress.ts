import type { StageProgress, Video } from '../gateway/client/video.ts';
import { stages } from '../services/pipeline/stages.ts';
import { describePlace, isPaused } from './queue-place.ts';

const barWidth = 24;
const waits = 'waiting: no replica available';
const nameWidth = Math.max(...Object.values(stages).map(({ label }) => label.length));

/** Shows the progress of a job. */
export interface ProgressDisplay {
  update(video: Video): void;
  /** Ends the display, so that other lines can follow. */
  finish(): void;
}

/** On a terminal a bar for each stage; in a pipe a plain line when a stage starts and when it is done. */
export function progressDisplay(output: NodeJS.WriteStream): ProgressDisplay {
  return output.isTTY ? terminalDisplay(output) : plainDisplay(output);
}

/** Shows that something has started; the result shows that it is ready, and how long it took. */
export function showStart(output: NodeJS.WriteStream, name: string): () => void {
  const started = performance.now();
  const label = output.isTTY ? name.padEnd(nameWidth) : `${name}:`;
  output.write(output.isTTY ? `${label} starting` : `${label} started\n`);
  return () => {
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    output.write(`${output.isTTY ? '\r\x1b[2K' : ''}${label} ready in ${seconds} s\n`);
  };
}

/** Shows how many items are done. */
export interface CountDisplay {
  /** Counts more items; default one. */
  advance(count?: number): void;
  /** Counts items that were there before, and that took no time: the rate leaves them out. Default one. */
  skip(count?: number): void;
  /** Ends the display, so that other lines can follow. */
  finish(): void;
}

/** On a terminal a bar; in a pipe a plain line for every tenth. */
export function countDisplay(output: NodeJS.WriteStream, name: string, total: number): CountDisplay {
  const started = performance.now();
  let done = 0;
  let skipped = 0;
  const draw = (before = done - 1) => {
    const seconds = (performance.now() - started) / 1000;
    if (output.isTTY) {
      output.write(`\r\x1b[2K${bar(name, done, total, seconds, skipped)}`);
    } else if (Math.floor((10 * done) / total) > Math.floor((10 * before) / total)) {
      output.write(`${name}: ${done}/${total}${done > skipped ? `, ${rate(done, total, seconds, skipped)}` : ''}\n`);
    }
  };
  draw();
  return {
    advance(count = 1) {
      done += count;
      draw(done - count);
    },
    skip(count = 1) {
      skipped += count;
      done += count;
      draw(done - count);
    },
    finish() {
      if (output.isTTY) {
        output.write('\n');
      }
    },
  };
}

/** Label of a stage. */
export function stageLabel(stage: StageProgress['stage']): string {
  return stage === 'unknown' ? 'unknown stage' : stages[stage].label;
}

function terminalDisplay(output: NodeJS.WriteStream): ProgressDisplay {
  let shown = 0;
  let open = false;
  let isPlaceShown = false;
  return {
    update({ state, pauses, stages, queue }) {
      const isWaitingAgain = isPaused({ state, pauses });
      if (state === 'queued' && queue && (isWaitingAgain || stages.length === 0)) {
        output.write(`\r\x1b[2K${isWaitingAgain ? 'paused' : 'queued'}: ${describePlace(queue)}`);
        isPlaceShown = true;
        return;
      }
      if (isPlaceShown) {
        output.write('\r\x1b[2K');
        isPlaceShown = false;
      }
      stages.slice(Math.max(0, shown - 1)).forEach((stage, index) => {
        const isNew = shown === 0 || index > 0;
        output.write(
          `${isNew && open ? '\n' : ''}\r\x1b[2K${bar(stageLabel(stage.stage), stage.step, stage.total, stage.seconds)}${stage.waiting ? waits : ''}`,
        );
        open = true;
        shown += isNew ? 1 : 0;
      });
    },
    finish() {
      if (open || isPlaceShown) {
        output.write('\n');
        open = false;
        isPlaceShown = false;
      }
    },
  };
}

function plainDisplay(output: NodeJS.WriteStream): ProgressDisplay {
  const begun = new Set<number>();
  const waiting = new Set<number>();
  const done = new Set<number>();
  let position: number | undefined;
  return {
    update({ state, pauses, stages, queue }) {
      if (state === 'queued' && queue && queue.position !== position) {
        position = queue.position;
        output.write(`${isPaused({ state, pauses }) ? 'paused' : 'queued'}: ${describePlace(queue)}\n`);
      }
      stages.forEach((stage, index) => {
        const label = stageLabel(stage.stage);
        if (!begun.has(index)) {
          begun.add(index);
          output.write(`${label}: started\n`);
        }
        if (stage.waiting && !waiting.has(index)) {
          waiting.add(index);
          output.write(`${label}: ${waits}\n`);
        }
        if (stage.total > 0 && stage.step === stage.total && !done.has(index)) {
          done.add(index);
          output.write(`${label}: ${stage.step}/${stage.total} in ${stage.seconds.toFixed(1)} s\n`);
        }
      });
    },
    finish() {},
  };
}

function bar(name: string, step: number, total: number, seconds: number, skipped = 0): string {
  const filled = total > 0 ? Math.round((step / total) * barWidth) : 0;
  const blocks = `${'█'.repeat(filled)}${'░'.repeat(barWidth - filled)}`;
  return `${name.padEnd(nameWidth)} ${blocks} ${step}/${total} ${rate(step, total, seconds, skipped)}`;
}

/** @param skipped steps among the done ones that took no time */
function rate(step: number, total: number, seconds: number, skipped: number): string {
  if (step === skipped || seconds === 0) {
    return '';
  }
  const perSecond = (step - skipped) / seconds;
  const speed = perSecond >= 1 ? `${perSecond.toFixed(1)}/s` : `${(1 / perSecond).toFixed(1)} s each`;
  return step === total
    ? `${speed}, ${seconds.toFixed(1)} s`
    : `${speed}, ${((total - step) / perSecond).toFixed(0)} s left`;
}
