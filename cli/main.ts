#!/usr/bin/env node
import { runProgram } from './program.ts';

// A closed pipe, as with `head`, ends the output and not the command.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') {
    throw error;
  }
});

await runProgram(process.argv.slice(2));
// What still holds the process, such as a connection that is being made to an address that never answers, must not.
setTimeout(() => process.stdout.write('', () => process.exit()), 1000).unref();
