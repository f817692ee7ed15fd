import type { DiagLogger } from '@opentelemetry/api';
import type { Logger } from '../log.ts';

/** A collector may be unreachable for hours, and every export of every process fails. */
const quietMilliseconds = 60_000;

/** Logs the SDK's errors: the first at once, then at most one a minute. */
export function exportFaults(log: Logger): DiagLogger {
  let quietUntil = 0;
  let unsaid = 0;
  const ignore = () => {};
  const error = (message: string) => {
    if (Date.now() < quietUntil) {
      unsaid++;
      return;
    }
    quietUntil = Date.now() + quietMilliseconds;
    log.warn({ telemetry: true, ...(unsaid > 0 && { unsaid }) }, textOf(message));
    unsaid = 0;
  };
  return { error, warn: ignore, info: ignore, debug: ignore, verbose: ignore };
}

/** The SDK writes exceptions as JSON, stacks included. */
function textOf(message: string): string {
  try {
    const { message: text } = JSON.parse(message) as { message?: unknown };
    return typeof text === 'string' ? text : message;
  } catch {
    return message;
  }
}
