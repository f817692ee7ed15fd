import { Command, CommanderError } from 'commander';
import { packageVersion } from '../services/kit/package-root.ts';
import type { Telemetry } from '../services/kit/telemetry/sdk.ts';
import { exitCode, exitCodeOf, reportError } from './exit.ts';
import { usageError } from './usage-error.ts';

/** In the order of the help. Each is loaded only when used, so that commands do not pay for each other's imports. */
const commands: readonly { name: string; load: () => Promise<Command> }[] = [
  { name: 'generate', load: async () => (await import('./generate.ts')).generateCommand() },
  { name: 'serve', load: async () => (await import('./serve.ts')).serveCommand() },
  { name: 'jobs', load: async () => (await import('./jobs.ts')).jobsCommand() },
  { name: 'usage', load: async () => (await import('./usage.ts')).usageCommand() },
  { name: 'verify', load: async () => (await import('./verify.ts')).verifyCommand() },
  { name: 'keys', load: async () => (await import('./keys.ts')).keysCommand() },
  { name: 'mcp', load: async () => (await import('./mcp.ts')).mcpCommand() },
  { name: 'models', load: async () => (await import('./models.ts')).modelsCommand() },
  { name: 'evaluate', load: async () => (await import('./evaluate.ts')).evaluateCommand() },
  { name: 'plan', load: async () => (await import('./plan.ts')).planCommand() },
];

/**
 * Runs the program and sets `process.exitCode`. Errors are written to standard error.
 *
 * @param args what follows the program's name on the command line
 */
export async function runProgram(args: readonly string[]): Promise<void> {
  let telemetry: Telemetry | undefined;
  try {
    const program = await createProgram(args[0]);
    program.hook('preAction', async (_, command) => {
      const { startTelemetryOf } = await import('./telemetry.ts');
      telemetry = await startTelemetryOf(command);
    });
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      // The help was printed, because it was asked for or because a command is missing.
      process.exitCode = error.exitCode === 0 ? exitCode.ok : exitCode.usage;
    } else {
      reportError(error);
      process.exitCode = exitCodeOf(error);
    }
  } finally {
    await telemetry?.stop();
  }
}

/** With the named command, or with all commands if there is none of that name. */
async function createProgram(name: string | undefined): Promise<Command> {
  const named = commands.filter((command) => command.name === name);
  const program = new Command('fusionframes')
    .description('Text to video: serve the FusionFrames pipeline, or make a video on this machine.')
    .version(packageVersion());
  for (const { load } of named.length > 0 ? named : commands) {
    program.addCommand(await load());
  }
  for (const command of [program, ...program.commands, ...program.commands.flatMap((group) => group.commands)]) {
    command.configureOutput({ outputError: () => {} }).exitOverride((error) => {
      throw isAboutHelp(error) ? error : usageError(command, error);
    });
  }
  return program;
}

function isAboutHelp({ code }: CommanderError): boolean {
  return ['commander.help', 'commander.helpDisplayed', 'commander.version'].includes(code);
}
