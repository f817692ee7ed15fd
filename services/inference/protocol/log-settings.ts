import type { LogSettingsRequest_SettingValue as Value } from '../../../proto/gen/grpc_service.ts';
import type { Logger } from '../../kit/log.ts';
import { invalidArgument, unimplemented } from '../errors.ts';

const toggles = ['log_info', 'log_warning', 'log_error'] as const;
const formats = ['default', 'ISO8601'];

/** The settings at the start, under their names in the protocol. */
export interface LogValues {
  log_info?: boolean;
  log_warning?: boolean;
  log_error?: boolean;
  /** 0: no verbose lines. 1: debug lines. From 2: trace lines too. */
  log_verbose_level?: number;
  log_format?: string;
  /** Where the log goes; empty: standard error. */
  log_file?: string;
}

/**
 * The log settings that clients may read and change. Each switch turns its own severity on or off, whatever the verbose
 * level; a silent server stays silent. Lines are JSON whatever the `log_format`, which is only kept for clients that read it.
 */
export class LogSettings {
  readonly #log: Logger;
  readonly #on: Record<(typeof toggles)[number], boolean>;
  readonly #file: string;
  #verboseLevel: number;
  #format: string;

  /** @param values differences from the defaults; without any, the log level stays as it is */
  constructor(log: Logger, values: LogValues = {}) {
    const { log_info = true, log_warning = true, log_error = true } = values;
    this.#log = log;
    this.#on = { log_info, log_warning, log_error };
    this.#verboseLevel = values.log_verbose_level ?? 0;
    this.#format = values.log_format ?? 'default';
    this.#file = values.log_file ?? '';
    if (Object.keys(values).length > 0) {
      this.#setLevel();
    }
  }

  /** Applies settings one by one; those before an invalid one stay applied. Throws INVALID_ARGUMENT or UNIMPLEMENTED. */
  update(settings: Record<string, Value>): void {
    if (settings.log_file) {
      throw unimplemented('log file location can not be updated through network protocol');
    }
    for (const name of toggles) {
      const choice = settings[name]?.parameterChoice;
      if (settings[name] && choice?.$case !== 'boolParam') {
        throw invalidArgument(`expect boolean for '${name}'`);
      }
      if (choice?.$case === 'boolParam') {
        this.#on[name] = choice.value;
      }
    }
    const level = settings.log_verbose_level?.parameterChoice;
    if (settings.log_verbose_level && level?.$case !== 'uint32Param') {
      throw invalidArgument("expect int32 for 'log_verbose_level'");
    }
    if (level?.$case === 'uint32Param') {
      this.#verboseLevel = level.value;
    }
    const format = settings.log_format?.parameterChoice;
    if (settings.log_format && format?.$case !== 'stringParam') {
      throw invalidArgument("expect string for 'log_format'");
    }
    if (format?.$case === 'stringParam') {
      if (!formats.includes(format.value)) {
        throw invalidArgument(`invalid argument for log_format, got: ${format.value}`);
      }
      this.#format = format.value;
    }
    this.#setLevel();
  }

  #setLevel(): void {
    if (this.#log.level === 'silent') {
      return;
    }
    this.#log.level = this.#level();
    // Each severity has its own switch; setting the level has restored all methods.
    const { log_info, log_warning, log_error } = this.#on;
    for (const [severity, isOn] of [
      ['info', log_info],
      ['warn', log_warning],
      ['error', log_error],
    ] as const) {
      if (!isOn) {
        this.#log[severity] = () => {};
      }
    }
  }

  values(): Record<string, Value> {
    return {
      log_file: { parameterChoice: { $case: 'stringParam', value: this.#file } },
      log_info: { parameterChoice: { $case: 'boolParam', value: this.#on.log_info } },
      log_warning: { parameterChoice: { $case: 'boolParam', value: this.#on.log_warning } },
      log_error: { parameterChoice: { $case: 'boolParam', value: this.#on.log_error } },
      log_verbose_level: { parameterChoice: { $case: 'uint32Param', value: this.#verboseLevel } },
      log_format: { parameterChoice: { $case: 'stringParam', value: this.#format } },
    };
  }

  #level(): string {
    if (this.#verboseLevel > 0) {
      return this.#verboseLevel > 1 ? 'trace' : 'debug';
    }
    const { log_info, log_warning, log_error } = this.#on;
    return log_info ? 'info' : log_warning ? 'warn' : log_error ? 'error' : 'fatal';
  }
}
