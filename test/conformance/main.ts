import { parseArgs } from 'node:util';
import { readRecording } from './exchanges.ts';
import { replay } from './replay.ts';
import { report } from './report.ts';

const usage = `usage: conformance <folder> [--address host:port] [--scenario name] [--texts] [--verbose]

Replays the exchanges recorded in a folder (exchanges.json and models/) against the embedded inference server, started
afresh for each scenario, or against the server at the address: there only scenarios recorded with the flag
--exit-on-error=false are played, unless one is chosen with --scenario, for which the server is taken to be right.
Data, status codes and refusals must agree, with --texts the messages too. Exit code 1: something differs; 2: usage.`;

interface Arguments {
  folder: string;
  address: string | undefined;
  scenario: string | undefined;
  texts: boolean;
  verbose: boolean;
}

function readArguments(): Arguments | undefined {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        address: { type: 'string' },
        scenario: { type: 'string' },
        texts: { type: 'boolean', default: false },
        verbose: { type: 'boolean', default: false },
      },
    });
    const [folder, ...rest] = positionals;
    return folder !== undefined && rest.length === 0
      ? { folder, address: values.address, scenario: values.scenario, texts: values.texts, verbose: values.verbose }
      : undefined;
  } catch {
    return undefined;
  }
}

async function main(): Promise<number> {
  const given = readArguments();
  if (!given) {
    process.stderr.write(`${usage}\n`);
    return 2;
  }
  const outcome = await replay(readRecording(given.folder), {
    withTexts: given.texts,
    ...(given.address !== undefined && { address: given.address }),
    ...(given.scenario !== undefined && { scenario: given.scenario }),
  });
  process.stdout.write(report(outcome, given.verbose));
  return outcome.results.some(({ verdict }) => verdict === 'failed') ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
