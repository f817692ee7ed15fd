import { destination, type Logger, pino } from 'pino';
import { prettyLine } from './pretty-line.ts';
import { oneOf, readSettings, type Setting } from './settings.ts';
import { logFields } from './telemetry/log-fields.ts';

export type { Logger };

/** Lowest severity that is written; `silent` writes nothing. */
export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** How log lines look. */
export const logSettings = {
  logFormat: {
    name: 'FUSIONFRAMES_LOG_FORMAT',
    description:
      'json: one JSON object a line; pretty: human-readable (with all details from FUSIONFRAMES_LOG_LEVEL=debug on); auto: pretty where standard error is a terminal, json elsewhere',
    schema: oneOf(['auto', 'pretty', 'json'], 'auto'),
  },
} satisfies Record<string, Setting<unknown>>;

/**
 * Log lines on standard error, which leaves standard output to results: JSON, or lines for people (see {@link
 * logSettings}). Lines of a traced call carry its `trace_id` and `span_id`, those of a job its id; prompts are never
 * logged. People see warnings, errors and lines with `notice: true`. Throws INVALID_ARGUMENT for an unknown
 * FUSIONFRAMES_LOG_FORMAT.
 *
 * @param file append JSON lines to this file instead
 */
export function createLogger(service: string, level: LogLevel, file?: string): Logger {
  const { logFormat } = readSettings(logSettings);
  const isPretty = logFormat === 'pretty' || (logFormat === 'auto' && process.stderr.isTTY);
  return pino(
    {
      level,
      base: { service },
      timestamp: pino.stdTimeFunctions.isoTime,
      mixin: (_line, _level, log) => logFields(log),
    },
    isPretty && !file
      ? prettyStream(process.stderr, level === 'debug' || level === 'trace')
      : destination({ ...(file ? { dest: file } : { fd: 2 }), sync: true }),
  );
}

function prettyStream(output: NodeJS.WriteStream, hasDetails: boolean) {
  const hasColors = output.isTTY && output.hasColors();
  return { write: (line: string) => void output.write(prettyLine(line, { hasColors, hasDetails })) };
}
