#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { packageVersion } from '../services/kit/package-root.ts';
import type { Telemetry } from '../services/kit/telemetry/sdk.ts';
import { evaluateCommand } from './evaluate.ts';
import { exitCode, exitCodeOf, reportError } from './exit.ts';
import { generateCommand } from './generate.ts';
import { jobsCommand } from './jobs.ts';
import { keysCommand } from './keys.ts';
import { modelsCommand } from './models.ts';
import { planCommand } from './plan.ts';
import { serveCommand } from './serve.ts';

const program = new Command('fusionframes')
  .description('Text to video: serve the FusionFrames pipeline, or make a video right here.')
  .version(packageVersion())
  .addCommand(generateCommand())
  .addCommand(serveCommand())
  .addCommand(jobsCommand())
  .addCommand(keysCommand())
  .addCommand(modelsCommand())
  .addCommand(evaluateCommand())
  .addCommand(planCommand());

for (const command of [program, ...program.commands, ...program.commands.flatMap((group) => group.commands)]) {
  command.exitOverride().showHelpAfterError('(see --help)');
}

// A closed pipe, as with `head`, ends the output and not the command.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') {
    throw error;
  }
});

let telemetry: Telemetry | undefined;
program.hook('preAction', async (_, command) => {
  const { startTelemetryOf } = await import('./telemetry.ts');
  telemetry = await startTelemetryOf(command);
});
try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // Commander has written its own line; asking for help is no error.
    process.exitCode = error.exitCode === 0 ? exitCode.ok : exitCode.usage;
  } else {
    reportError(error);
    process.exitCode = exitCodeOf(error);
  }
} finally {
  await telemetry?.stop();
  // What still holds the process, such as a connection that is being made to an address that never answers, must not.
  setTimeout(() => process.stdout.write('', () => process.exit()), 1000).unref();
}
