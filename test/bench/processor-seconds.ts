import { readFileSync } from 'node:fs';

/** Processor time of a running process so far; 0 where there is no /proc. */
export function processorSecondsOf(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
    // In ticks of 10 ms: user and system.
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return 0;
  }
}
