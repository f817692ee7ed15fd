#!/usr/bin/env -S node --max-semi-space-size=4
// By itself, the part of V8's heap for new objects grows to 32 MiB, with Node 24 to 64 MiB, and keeps them; with this option, to 8 MiB.
import './tune-runtime.ts';
import { leave } from './close-in-time.ts';
import { runProgram } from './program.ts';

// A closed pipe, as with `head`, ends the output but not the command.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') {
    throw error;
  }
});

await runProgram(process.argv.slice(2));
// Exit even if something still holds the process, such as a connection attempt to an address that never answers.
setTimeout(() => process.stdout.write('', leave), 1000).unref();
