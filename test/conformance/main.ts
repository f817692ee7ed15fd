import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { packageRoot } from '../../services/kit/package-root.ts';
import { readRecording } from './exchanges.ts';
import { programStarter } from './program-target.ts';
import { replay } from './replay.ts';
import { report } from './report.ts';
import { addressOf } from './triton-url.ts';

const usage = `usage: conformance [folder] [--server command | --address host:port] [--scenario name] [--texts] [--verbose]

Replays the exchanges recorded in a folder (exchanges.json and models/; default: test/fixtures/triton) against the
embedded inference server, started afresh for each scenario. With --server a program that takes Triton's flags is started
instead, such as 'tritonserver --backend-directory=/opt/tritonserver/backends'. With --address, or TRITON_URL in the
environment, it is the server there: only scenarios recorded with the flag --exit-on-error=false are played, unless one is
chosen with --scenario, for which the server is taken to be right.
Data, status codes and refusals must agree, with --texts the messages too. Exit code 1: something differs; 2: usage.`;

interface Arguments {
  folder: string;
  server: string | undefined;
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
        server: { type: 'string' },
        address: { type: 'string' },
        scenario: { type: 'string' },
        texts: { type: 'boolean', default: false },
        verbose: { type: 'boolean', default: false },
      },
    });
    const [folder = join(packageRoot, 'test', 'fixtures', 'triton'), ...rest] = positionals;
    const { server, scenario, texts, verbose } = values;
    const address = addressOf(values.address ?? (server === undefined ? process.env.TRITON_URL : undefined));
    const isClear = rest.length === 0 && (server === undefined || address === undefined);
    return isClear ? { folder, server, address, scenario, texts, verbose } : undefined;
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
    ...(given.server !== undefined && { start: programStarter(given.server) }),
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
