import { styleText } from 'node:util';
import { plainText } from './plain-text.ts';

/** A log line as pino writes it. */
interface LogLine {
  time: string;
  level: number;
  msg?: string;
  err?: { stack?: string; message?: string };
  notice?: boolean;
  [field: string]: unknown;
}

const levels: readonly { min: number; word: string; style: 'red' | 'yellow' | 'dim' | 'reset' }[] = [
  { min: 50, word: 'error', style: 'red' },
  { min: 40, word: 'warning', style: 'yellow' },
  { min: 30, word: '', style: 'reset' },
  { min: 0, word: 'debug', style: 'dim' },
];

/** Useless on a terminal: the reader started the process, and traces have their own tools. */
const hidden = new Set(['time', 'level', 'msg', 'err', 'service', 'notice', 'trace_id', 'span_id']);

interface PrettyOptions {
  hasColors?: boolean;
  /** Whether to show lines that are neither warnings nor errors and lack `notice: true`. Default false. */
  hasDetails?: boolean;
}

/**
 * Formats a JSON log line for people: time of day, message, then the other fields as `name=value`. An error's stack
 * follows on separate lines. Empty for a line that is not shown.
 */
export function prettyLine(json: string, { hasColors = false, hasDetails = false }: PrettyOptions = {}): string {
  const line = JSON.parse(json) as LogLine;
  if (!hasDetails && line.level < 40 && line.notice !== true) {
    return '';
  }
  const { word, style } = levels.find(({ min }) => line.level >= min)!;
  const paint = (format: Parameters<typeof styleText>[0], text: string) =>
    hasColors && text !== '' ? styleText(format, text, { validateStream: false }) : text;
  const fields = Object.entries(line)
    .filter(([name, value]) => !hidden.has(name) && value !== undefined)
    .map(([name, value]) => `${name}=${plainText(typeof value === 'string' ? value : JSON.stringify(value))}`);
  const parts = [
    paint('dim', timeOfDay(line.time)),
    paint(style, word),
    plainText(line.msg ?? line.err?.message ?? ''),
    paint('dim', fields.join(' ')),
  ];
  const stack = line.level >= 50 && line.err?.stack ? `${plainText(line.err.stack, '\n')}\n` : '';
  return `${parts.filter((part) => part !== '').join('  ')}\n${stack}`;
}

function timeOfDay(time: string): string {
  return new Date(time).toLocaleTimeString('en-GB');
}
