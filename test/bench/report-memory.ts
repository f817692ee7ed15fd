import { isMainThread } from 'node:worker_threads';

/** Imported by a child process before its program: writes the largest resident set of its life, KiB, when it ends. */
if (isMainThread) {
  process.on('exit', () => process.stderr.write(`largest resident set: ${process.resourceUsage().maxRSS}\n`));
}
