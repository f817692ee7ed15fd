import { Command } from 'commander';
import { abortable } from '../services/kit/abortable.ts';
import { commonSettings } from '../services/kit/common-settings.ts';
import { invalidField, inWords } from '../services/kit/errors.ts';
import { setReadiness } from '../services/kit/readiness.ts';
import { Scope } from '../services/kit/scope.ts';
import { readSettings } from '../services/kit/settings.ts';
import { formatTable } from '../services/kit/table.ts';
import { TritonClient } from '../services/triton/triton-client.ts';
import type { VerifiedOutput } from '../triton-models/verify/verify-case.ts';
import type { ServedOutput, VerifyServedOptions } from '../triton-models/verify/verify-served.ts';
import { exitCode } from './exit.ts';
import { requireServerAddress } from './gateway-address.ts';
import { clientTls } from './gateway-client.ts';
import { interruptSignal, reportInterruption } from './interrupt.ts';

interface VerifyOptions {
  tolerance?: string;
  intermediates?: true;
  address?: string;
  wait: string;
  gate?: true;
  json?: true;
}

const caseTolerance = 1e-3;

export function verifyModelsCommand(): Command {
  return new Command('verify')
    .description(
      'Compare a network with reference outputs: built from its checkpoint, or served by an inference server. ' +
        'Exit code 1: they differ.',
    )
    .argument(
      '<case>',
      'folder of config.json, weights.safetensors and io.safetensors; with --address, a model repository or a model in it, ' +
        'with the outputs that `models build` recorded',
    )
    .option('--address <host:port>', "inference server that serves the repository (Triton's gRPC protocol)")
    .option('--wait <seconds>', 'how long to wait until the server has loaded a model', '10')
    .option(
      '--gate',
      `once the outputs agree, keep running and answer /readyz on ${commonSettings.metricsAddress.name} with 200, as the readiness probe of the server`,
    )
    .option(
      '--tolerance <x>',
      "largest |difference| allowed, in the reference's standard deviations (default: 1e-3; of a server, by the model's precision)",
    )
    .option('--intermediates', 'also compare the outputs of modules inside the network')
    .option('--json', 'print one JSON object')
    .action(verify);
}

async function verify(folder: string, options: VerifyOptions): Promise<void> {
  const tolerance = options.tolerance === undefined ? undefined : Number(options.tolerance);
  if (tolerance !== undefined && !(tolerance > 0)) {
    throw invalidField('--tolerance', options.tolerance, 'a number above 0');
  }
  if (options.gate) {
    requireProbes(options.address);
  }
  const passed =
    options.address === undefined
      ? await verifyBuilt(folder, tolerance ?? caseTolerance, options)
      : await verifyServer(folder, options.address, tolerance, options);
  if (!passed) {
    process.exitCode = exitCode.failure;
  }
}

/** Throws INVALID_ARGUMENT for a gate without a server, or that no probe could ask. */
function requireProbes(address: string | undefined): void {
  if (address === undefined) {
    throw invalidField('--gate', inWords('no --address'), 'with --address: it tells when a server is ready');
  }
  const { name } = commonSettings.metricsAddress;
  const { metricsAddress } = readSettings({ metricsAddress: commonSettings.metricsAddress });
  if (metricsAddress === '') {
    throw invalidField(name, metricsAddress, 'host:port with --gate: probes ask there');
  }
}

async function verifyBuilt(folder: string, tolerance: number, options: VerifyOptions): Promise<boolean> {
  const { verifyCase } = await import('../triton-models/verify/verify-case.ts');
  const outputs = await verifyCase(folder, { intermediates: options.intermediates ?? false });
  const passed = outputs.every(({ isIntermediate, difference }) => isIntermediate || difference! <= tolerance);
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ case: folder, tolerance, passed, outputs })}\n`
      : formatTable(
          ['network', 'output', 'shape', 'difference', 'verdict'],
          outputs.map((output) => builtRow(output, tolerance)),
        ),
  );
  return passed;
}

function builtRow({ network, name, shape, difference }: VerifiedOutput, tolerance: number): string[] {
  const verdict = difference === null ? 'no such module' : verdictOf(difference <= tolerance);
  return [network, name, `[${shape.join(', ')}]`, difference === null ? '' : deviations(difference), verdict];
}

async function verifyServer(
  folder: string,
  address: string,
  limit: number | undefined,
  { intermediates, wait, gate, json }: VerifyOptions,
): Promise<boolean> {
  requireServerAddress('--address', address);
  if (intermediates) {
    throw invalidField('--intermediates', address, 'left out with --address: a server gives outputs only');
  }
  const waitSeconds = Number(wait);
  if (!(waitSeconds >= 0 && Number.isFinite(waitSeconds))) {
    throw invalidField('--wait', wait, 'a number of seconds, 0 or more');
  }
  const signal = interruptSignal();
  try {
    const passed = await compareServer(folder, address, { limit, waitSeconds, signal }, json);
    if (passed && gate) {
      await stayReady(signal);
    }
    return passed;
  } catch (error) {
    reportInterruption(error, signal);
    return true;
  }
}

async function compareServer(
  folder: string,
  address: string,
  options: VerifyServedOptions,
  json: true | undefined,
): Promise<boolean> {
  const { recordedVersion, verifyServed } = await import('../triton-models/verify/verify-served.ts');
  const tls = await clientTls();
  const scope = new Scope(options.signal);
  try {
    const triton = scope.add(
      new TritonClient({ address, modelVersion: recordedVersion, sharedMemory: 'off', ...(tls && { tls }) }),
    );
    const found = await verifyServed(folder, triton, options);
    const passed = found.outputs.every((output) => output.passed);
    process.stdout.write(
      json
        ? `${JSON.stringify({ case: folder, address, passed, ...found })}\n`
        : formatTable(
            ['model', 'profile', 'output', 'shape', 'precision', 'largest', 'root mean square', 'limit', 'verdict'],
            found.outputs.map(servedRow),
          ),
    );
    if (found.unrecorded.length > 0) {
      process.stderr.write(`warning: not compared, because no outputs were recorded: ${found.unrecorded.join(', ')}\n`);
    }
    return passed;
  } finally {
    await scope.close();
  }
}

/** Answers probes until the process is asked to stop. */
async function stayReady(signal: AbortSignal): Promise<void> {
  setReadiness(() => !signal.aborted);
  process.stdout.write('ready until stopped\n');
  await abortable(signal, new Promise(() => {})).catch(() => {});
}

function servedRow({ model, profile, output, shape, precision, ...measured }: ServedOutput): string[] {
  const { largest, rootMeanSquare, limit, passed } = measured;
  const figures = [largest, rootMeanSquare, limit].map(deviations);
  return [model, profile, output, `[${shape.join(', ')}]`, precision, ...figures, verdictOf(passed)];
}

const deviations = (difference: number) => `${difference.toExponential(1)} σ`;
const verdictOf = (passed: boolean) => (passed ? 'ok' : 'DIFFERS');
