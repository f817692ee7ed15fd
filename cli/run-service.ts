import { Status } from 'nice-grpc-common';
import { abortable } from '../services/kit/abortable.ts';
import { commonSettings } from '../services/kit/common-settings.ts';
import { FusionError, invalidField } from '../services/kit/errors.ts';
import { createLogger } from '../services/kit/log.ts';
import { openProcessTls } from '../services/kit/process-tls.ts';
import { setReadiness } from '../services/kit/readiness.ts';
import { Scope } from '../services/kit/scope.ts';
import { readSettings } from '../services/kit/settings.ts';
import { loadPreset } from '../services/pipeline/preset.ts';
import { closeInTime } from './close-in-time.ts';
import type { NamedLora } from './lora-flag.ts';
import type { Presets, ServedService, Start } from './services/served-service.ts';

/** A service with all its settings. */
interface PreparedService {
  start: ReturnType<ServedService['prepare']>;
  presets: Presets;
  /** Passed to `start`, besides the address and the scope. */
  with: Omit<Start, 'address' | 'scope'>;
  drainSeconds: number;
}

/**
 * Reads all settings of a service before anything starts. Throws INVALID_ARGUMENT naming the settings at fault.
 *
 * @param program its name in log lines
 */
export async function prepareService(
  service: ServedService,
  program: string,
  flags: readonly string[] = [],
  presetNames: readonly string[] = [],
  loras: readonly NamedLora[] = [],
): Promise<PreparedService> {
  if (flags.length > 0 && !service.acceptsFlags) {
    throw new FusionError(Status.INVALID_ARGUMENT, `${program} takes no flags after --, only inference does`, {
      reason: 'INVALID_FIELD',
      field: flags[0]!,
    });
  }
  const { drainSeconds, logLevel, ...common } = readSettings(commonSettings);
  const presets = loadPresets(presetNames, common.preset);
  if (presets.length > 1 && !service.acceptsPresets) {
    throw invalidField('--preset', presetNames.join(', '), `one preset for ${program}`);
  }
  if (loras.length > 0 && !service.acceptsLoras) {
    throw invalidField('--lora', loras[0]!.name, `absent for ${program}: \`models build --lora\` makes its repository`);
  }
  const start = service.prepare(presets, flags, loras);
  const log = createLogger(program, logLevel);
  const tls = await openProcessTls(common, log);
  return { start, presets, with: { log, tls }, drainSeconds };
}

/**
 * Runs a service until the signal aborts, and stops it.
 *
 * @param program its name on standard output and in log lines
 */
export async function serveUntilInterrupted(
  service: ServedService,
  program: string,
  address: string,
  { flags, presets, loras }: { flags: readonly string[]; presets: readonly string[]; loras: readonly NamedLora[] },
  signal: AbortSignal,
): Promise<void> {
  const prepared = await prepareService(service, program, flags, presets, loras);
  const scope = new Scope(signal);
  const started = performance.now();
  const isWatched = process.stdout.isTTY;
  if (isWatched && service.loads) {
    process.stdout.write(`loading ${service.loads(prepared.presets)}\n`);
  }
  let drainSeconds: number | undefined;
  try {
    const server = await abortable(signal, prepared.start({ ...prepared.with, address, scope }));
    ({ drainSeconds } = prepared);
    setReadiness(() => server.isReady() && !signal.aborted);
    const page = server.httpAddress === undefined ? '' : `The page is at http://${server.httpAddress}/\n`;
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    const more = isWatched ? `, ready in ${seconds} s; Ctrl-C stops it` : '';
    process.stdout.write(`${page}${program} is serving on ${server.address}${more}\n`);
    await abortable(signal, new Promise(() => {}));
  } catch (error) {
    if (!signal.aborted) {
      await closeInTime(scope, program, drainSeconds).catch(() => {});
      throw error;
    }
  }
  if (isWatched) {
    process.stdout.write('stopping\n');
  }
  await closeInTime(scope, program, drainSeconds);
}

/** The presets that the command line names, or else the one in the settings. */
function loadPresets(names: readonly string[], usual: string): Presets {
  const [first, ...others] = names;
  return first === undefined
    ? [loadPreset(usual, commonSettings.preset.name)]
    : [loadPreset(first, '--preset'), ...others.map((name) => loadPreset(name, '--preset'))];
}
