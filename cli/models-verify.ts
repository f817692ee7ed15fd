import { Command } from 'commander';
import { invalidField } from '../services/kit/errors.ts';
import { Scope } from '../services/kit/scope.ts';
import { formatTable } from '../services/kit/table.ts';
import { TritonClient } from '../services/triton/triton-client.ts';
import type { VerifiedOutput } from '../triton-models/verify/verify-case.ts';
import type { ServedOutput } from '../triton-models/verify/verify-served.ts';
import { exitCode } from './exit.ts';
import { requireServerAddress } from './gateway-address.ts';
import { clientTls } from './gateway-client.ts';
import { interruptSignal } from './interrupt.ts';

interface VerifyOptions {
  tolerance?: string;
  intermediates?: true;
  address?: string;
  wait: string;
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
  const passed =
    options.address === undefined
      ? await verifyBuilt(folder, tolerance ?? caseTolerance, options)
      : await verifyServed(folder, options.address, tolerance, options);
  if (!passed) {
    process.exitCode = exitCode.failure;
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

async function verifyServed(
  folder: string,
  address: string,
  limit: number | undefined,
  { intermediates, wait, json }: VerifyOptions,
): Promise<boolean> {
  requireServerAddress('--address', address);
  if (intermediates) {
    throw invalidField('--intermediates', address, 'left out with --address: a server gives outputs only');
  }
  const waitSeconds = Number(wait);
  if (!(waitSeconds >= 0 && Number.isFinite(waitSeconds))) {
    throw invalidField('--wait', wait, 'a number of seconds, 0 or more');
  }
  const served = await import('../triton-models/verify/verify-served.ts');
  const tls = await clientTls();
  const scope = new Scope(interruptSignal());
  try {
    const triton = scope.add(new TritonClient({ address, sharedMemory: 'off', ...(tls && { tls }) }));
    const found = await served.verifyServed(folder, triton, { limit, waitSeconds, signal: scope.signal });
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

function servedRow({ model, profile, output, shape, precision, ...measured }: ServedOutput): string[] {
  const { largest, rootMeanSquare, limit, passed } = measured;
  const figures = [largest, rootMeanSquare, limit].map(deviations);
  return [model, profile, output, `[${shape.join(', ')}]`, precision, ...figures, verdictOf(passed)];
}

const deviations = (difference: number) => `${difference.toExponential(1)} σ`;
const verdictOf = (passed: boolean) => (passed ? 'ok' : 'DIFFERS');
