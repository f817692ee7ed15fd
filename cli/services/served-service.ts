import type { RunningGateway } from '../../gateway/start-gateway.ts';
import type { Logger } from '../../services/kit/log.ts';
import type { ProcessTls } from '../../services/kit/process-tls.ts';
import type { Scope } from '../../services/kit/scope.ts';
import type { RunningServer } from '../../services/kit/serve.ts';
import type { Settings } from '../../services/kit/settings.ts';
import type { Preset } from '../../services/pipeline/preset.ts';
import type { NamedLora } from '../lora-flag.ts';

/** The presets to serve; one, unless the service takes several. */
export type Presets = readonly [Preset, ...Preset[]];

type Running = RunningServer & Partial<Pick<RunningGateway, 'httpAddress'>>;

/** What a service needs to start. */
export interface Start {
  address: string;
  log: Logger;
  tls: ProcessTls | undefined;
  scope: Scope;
}

/**
 * Reads a service's settings and `flags`, which follow `--` on the command line, and returns the function that starts it.
 * Throws INVALID_ARGUMENT.
 *
 * @param loras with which the first preset is served, too
 */
type Prepare = (
  presets: Presets,
  flags: readonly string[],
  loras: readonly NamedLora[],
) => (start: Start) => Promise<Running>;

/** A service that `serve` can run. */
export interface ServedService {
  /** Its settings besides those of every process. */
  settings: readonly Settings[];
  /** Whether it serves several presets at once. */
  acceptsPresets?: true;
  /** Whether it serves a preset with LoRAs. */
  acceptsLoras?: true;
  /** Whether it takes flags after `--`. */
  acceptsFlags?: true;
  /** What it loads, as shown on a terminal. */
  loads?: (presets: Presets) => string;
  prepare: Prepare;
}
