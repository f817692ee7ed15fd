import { isMainThread } from 'node:worker_threads';

/**
 * Imported by a child process before its program. When it ends, writes the largest resident set of its life, KiB, and its processor
 * time, µs.
 */
if (isMainThread) {
  process.on('exit', () => {
    const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
    process.stderr.write(`largest resident set: ${maxRSS}, processor time: ${userCPUTime + systemCPUTime}\n`);
  });
}
