import type { PullProgress } from '../triton-models/pull/pull-progress.ts';
import { formatBytes } from './units.ts';

interface Transfer {
  name: string;
  size: number;
  /** Bytes present. */
  present: number;
  /** Bytes transferred, and since when: the basis of the rate. */
  fetched: number;
  started: number;
}

const drawEveryMilliseconds = 200;
const plainStep = 0.1;

/** Shows file transfers: on a terminal one line redrawn in place, in a pipe a line for every tenth. */
export function transferDisplay(output: NodeJS.WriteStream, now: () => number = () => performance.now()): PullProgress {
  let transfer: Transfer = { name: '', size: 0, present: 0, fetched: 0, started: 0 };
  let drawn = Number.NEGATIVE_INFINITY;
  let told = 0;
  const draw = (end = '') => output.write(`${output.isTTY ? '\r\x1b[2K' : ''}${transferLine(transfer, now())}${end}`);
  return {
    unchanged(name, size) {
      output.write(`${name}: up to date (${formatBytes(size)})\n`);
    },
    start(name, size) {
      transfer = { name, size, present: 0, fetched: 0, started: now() };
      told = 0;
      drawn = Number.NEGATIVE_INFINITY;
    },
    advance(count, kind) {
      transfer.present += count;
      if (kind === 'fetched') {
        transfer.fetched += count;
      } else {
        // Reading existing bytes does not predict the transfer rate.
        transfer.started = now();
      }
      if (output.isTTY && now() - drawn >= drawEveryMilliseconds) {
        drawn = now();
        draw();
      } else if (
        !output.isTTY &&
        transfer.present / transfer.size >= told + plainStep &&
        transfer.present < transfer.size
      ) {
        told = transfer.present / transfer.size;
        draw('\n');
      }
    },
    done() {
      const line = `${transfer.name}: ${formatBytes(transfer.size)}, complete`;
      output.write(`${output.isTTY ? '\r\x1b[2K' : ''}${line}\n`);
    },
  };
}

function transferLine({ name, size, present, fetched, started }: Transfer, now: number): string {
  const percent = Math.floor((present / Math.max(size, 1)) * 100);
  const amount = `${name}: ${percent} % of ${formatBytes(size)}`;
  const seconds = (now - started) / 1000;
  if (fetched === 0 || seconds <= 0) {
    return `${amount}, checking existing bytes`;
  }
  const rate = fetched / seconds;
  return `${amount}, ${formatBytes(Math.round(rate))}/s, ${formatDuration((size - present) / rate)} left`;
}

function formatDuration(seconds: number): string {
  const rounded = Math.ceil(seconds);
  const [hours, minutes] = [Math.floor(rounded / 3600), Math.floor(rounded / 60) % 60];
  if (hours > 0) {
    return `${hours} h ${minutes} min`;
  }
  return minutes > 0 ? `${minutes} min ${rounded % 60} s` : `${rounded} s`;
}
