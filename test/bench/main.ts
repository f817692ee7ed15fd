/*
 * Measures the rows of docs/speed.md on this machine, prints them as a table, and writes bench/results.json and a page of plots
 * beside it.
 */
import '../../cli/tune-runtime.ts';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Argument, Command, InvalidArgumentError } from 'commander';
import { packageRoot } from '../../services/kit/package-root.ts';
import { Bench, type BenchOptions } from './bench.ts';
import { exponentOf, type Figure, goalText, type Measured, meetsGoal, rounded } from './figure.ts';
import { pageOf, type Results } from './page.ts';
import { measureDirect } from './rows/direct.ts';
import { measureDrafts } from './rows/drafts.ts';
import { measureEncoding } from './rows/encoding.ts';
import { growthRows } from './rows/growth.ts';
import { measureItems } from './rows/items.ts';
import { measureLarge } from './rows/large.ts';
import { measureMemory } from './rows/memory.ts';
import { measurePytorch } from './rows/pytorch.ts';
import { measureReuse } from './rows/reuse.ts';
import { measureStart } from './rows/start.ts';
import { measureStoryboard } from './rows/storyboard.ts';
import { measureTogether } from './rows/together.ts';
import { measureTransport } from './rows/transport.ts';

const rows: Readonly<Record<string, (bench: Bench) => Promise<Measured>>> = {
  direct: measureDirect,
  pytorch: measurePytorch,
  items: measureItems,
  reuse: measureReuse,
  drafts: measureDrafts,
  together: measureTogether,
  transport: measureTransport,
  encoding: measureEncoding,
  storyboard: measureStoryboard,
  memory: measureMemory,
  large: measureLarge,
  start: measureStart,
  ...growthRows,
};

const folder = join(packageRoot, 'bench');
const resultsFile = join(folder, 'results.json');
const count = (text: string) => {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) {
    throw new InvalidArgumentError(`It must be a whole number from 1 (got ${text}).`);
  }
  return number;
};

await new Command('bench')
  .description('Measure the speed of FusionFrames on this machine. Rows measured earlier stay in bench/results.json.')
  .addArgument(
    new Argument('[rows...]', 'rows to measure; growth: all of its plots (default: all rows)').choices([
      ...Object.keys(rows),
      'growth',
    ]),
  )
  .option('--rounds <n>', 'repetitions of each comparison; the median counts', count, 3)
  .option('--jobs <n>', 'jobs before the memory of `serve` is read', count, 20)
  .option('--python <program>', 'Python with PyTorch, for the row pytorch', 'python3')
  .action(measure)
  .parseAsync();

async function measure(chosen: string[], options: BenchOptions): Promise<void> {
  const names =
    chosen.length === 0
      ? Object.keys(rows)
      : chosen.flatMap((name) => (name === 'growth' ? Object.keys(growthRows) : [name]));
  let results = await earlierResults();
  await mkdir(folder, { recursive: true });
  const bench = new Bench(options);
  try {
    for (const [index, name] of names.entries()) {
      process.stderr.write(`${name} (${index + 1} of ${names.length})\n`);
      const load = loadavg()[0]!;
      const measured = await rows[name]!(bench);
      // Another run may have added rows meanwhile.
      results = await earlierResults();
      results.rows[name] = { ...measured, at: new Date().toISOString(), load: rounded(load), rounds: options.rounds };
      // After every row, so that a long run that is interrupted keeps the earlier ones.
      await writeFile(resultsFile, `${JSON.stringify(results, undefined, 2)}\n`);
    }
  } finally {
    await bench.close();
  }
  const page = join(folder, 'results.html');
  await writeFile(page, pageOf(results));
  printTable(results, names);
  process.stdout.write(`\n${resultsFile}\n${pathToFileURL(page)}\n`);
}

/** Rows of earlier runs on the same processor that still exist. */
async function earlierResults(): Promise<Results> {
  const machine = {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    node: process.version,
    system: `${process.platform} ${process.arch}`,
  };
  try {
    const earlier = JSON.parse(await readFile(resultsFile, 'utf8')) as Results;
    const isComparable = earlier.machine?.processor === machine.processor;
    const kept = Object.entries(isComparable ? earlier.rows : {}).filter(([name]) => name in rows);
    return { machine, rows: Object.fromEntries(kept) };
  } catch {
    return { machine, rows: {} };
  }
}

function printTable(results: Results, names: readonly string[]): void {
  const measured = names.map((name) => results.rows[name]!);
  const figures = measured.flatMap(({ figures = [] }) => figures);
  console.table(figures.map(lineOf));
  const growths = measured.flatMap(({ growths = [] }) => growths);
  if (growths.length > 0) {
    console.table(
      growths.map((growth) => ({
        what: growth.what,
        grows: `${growth.grows}: ${growth.points.map(({ size }) => size).join(', ')}`,
        costs: `${growth.costs}: ${growth.points.map(({ cost }) => rounded(cost)).join(', ')}`,
        exponent: Number(exponentOf(growth).toFixed(2)),
      })),
    );
  }
  for (const [index, name] of names.entries()) {
    if (measured[index]!.skipped !== undefined) {
      process.stdout.write(`${name} was skipped: ${measured[index]!.skipped}\n`);
    }
  }
}

function lineOf(figure: Figure) {
  const { what, value, unit = '' } = figure;
  const met = meetsGoal(figure);
  return {
    what,
    measured: `${rounded(value)} ${unit}`.trim(),
    goal: goalText(figure),
    met: met === undefined ? '' : met ? 'yes' : 'no',
  };
}
