import { Status } from 'nice-grpc-common';
import { FusionError, invalidField } from '../kit/errors.ts';
import { modelControls } from './model-control.ts';
import type { LogValues } from './protocol/log-settings.ts';
import type { InferenceServerOptions } from './server.ts';

/** The meaning of tritonserver's flags. */
export interface TritonFlags {
  options: Partial<Omit<InferenceServerOptions, 'address' | 'log' | 'repository' | 'tls'>>;
  repository?: string;
  /** Where to listen, if given. */
  host?: string;
  port?: number;
}

type Read = (flags: TritonFlags & { logging: LogValues }, value: string, flag: string) => void;

/** Supported flags of tritonserver, without their dashes. */
const known: Readonly<Record<string, Read>> = {
  'model-repository': (flags, value) => {
    flags.repository = value;
  },
  'grpc-address': (flags, value) => {
    flags.host = value;
  },
  'grpc-port': (flags, value, flag) => {
    flags.port = whole(flag, value, 0, 65_535);
  },
  id: ({ options }, value) => {
    options.id = value;
  },
  'model-control-mode': ({ options }, value, flag) => {
    const mode = modelControls.find((each) => each === value);
    if (mode === undefined) {
      throw invalidField(flag, value, `one of ${modelControls.join(', ')}`);
    }
    options.modelControl = mode;
  },
  'repository-poll-secs': ({ options }, value, flag) => {
    options.pollSeconds = whole(flag, value, 1, 86_400);
  },
  'load-model': ({ options }, value) => {
    options.loadModels = [...(options.loadModels ?? []), value];
  },
  'exit-on-error': ({ options }, value, flag) => {
    options.exitOnError = isOn(flag, value);
  },
  'strict-readiness': ({ options }, value, flag) => {
    options.strictReadiness = isOn(flag, value);
  },
  'disable-auto-complete-config': ({ options }, value, flag) => {
    options.autoComplete = !isOn(flag, value);
  },
  'allow-client-shm': ({ options }, value, flag) => {
    options.allowSharedMemory = isOn(flag, value);
  },
  'log-info': ({ logging }, value, flag) => {
    logging.log_info = isOn(flag, value);
  },
  'log-warning': ({ logging }, value, flag) => {
    logging.log_warning = isOn(flag, value);
  },
  'log-error': ({ logging }, value, flag) => {
    logging.log_error = isOn(flag, value);
  },
  'log-verbose': ({ logging }, value, flag) => {
    logging.log_verbose_level = /^\d+$/.test(value) ? Number(value) : Number(isOn(flag, value));
  },
  'log-format': ({ logging }, value, flag) => {
    if (value !== 'default' && value !== 'ISO8601') {
      throw invalidField(flag, value, 'default or ISO8601');
    }
    logging.log_format = value;
  },
  'log-file': ({ logging }, value) => {
    logging.log_file = value;
  },
};

/** Flags for parts that this server does not have; they are ignored. */
const unheeded = [
  'backend-directory',
  'backend-config',
  'allow-grpc',
  'allow-http',
  'http-address',
  'http-port',
  'allow-metrics',
  'allow-gpu-metrics',
  'allow-cpu-metrics',
  'metrics-port',
  'exit-timeout-secs',
  'model-load-thread-count',
  'pinned-memory-pool-byte-size',
  'cuda-memory-pool-byte-size',
  'min-supported-compute-capability',
  'buffer-manager-thread-count',
];

/**
 * Reads tritonserver's flags: `--name=value`, `--name value`, or `--name` for a switch. Throws INVALID_ARGUMENT naming an
 * unknown flag or one with an invalid value.
 */
export function readTritonFlags(args: readonly string[]): TritonFlags {
  const logging: LogValues = {};
  const flags: TritonFlags & { logging: LogValues } = { options: { logging }, logging };
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    const [, name = '', given] = /^--([\w-]+)(?:=(.*))?$/s.exec(arg) ?? [];
    const read = Object.hasOwn(known, name) ? known[name] : undefined;
    if (read === undefined && !unheeded.includes(name)) {
      const allowed = Object.keys(known).map((each) => `--${each}`);
      throw new FusionError(
        Status.INVALID_ARGUMENT,
        `this server has no flag \`${arg}\`; it supports ${allowed.join(', ')}`,
        { reason: 'INVALID_FIELD', field: arg },
      );
    }
    const value = given ?? (rest[0] !== undefined && !rest[0].startsWith('--') ? rest.shift()! : 'true');
    read?.(flags, value, `--${name}`);
  }
  const { logging: _, ...result } = flags;
  return result;
}

function isOn(flag: string, value: string): boolean {
  if (/^(true|1|on)$/i.test(value)) {
    return true;
  }
  if (/^(false|0|off)$/i.test(value)) {
    return false;
  }
  throw invalidField(flag, value, 'true or false');
}

function whole(flag: string, value: string, min: number, max: number): number {
  const number = Number(value);
  if (!/^\d+$/.test(value) || number < min || number > max) {
    throw invalidField(flag, value, `a whole number from ${min} to ${max}`);
  }
  return number;
}
