import { destination, type Logger, pino } from 'pino';
import { logFields } from './telemetry/log-fields.ts';

export type { Logger };

/** Least severity that is written; `silent` writes nothing. */
export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/**
 * Structured lines (JSON) on standard error, which leaves standard output to results. Lines of a traced call carry its
 * `trace_id` and `span_id`, those of a job its id; prompts are never logged.
 */
export function createLogger(service: string, level: LogLevel): Logger {
  return pino(
    {
      level,
      base: { service },
      timestamp: pino.stdTimeFunctions.isoTime,
      mixin: (_line, _level, log) => logFields(log),
    },
    destination({ fd: 2, sync: true }),
  );
}
