import { styleText } from 'node:util';

/** What pino writes of a line. */
interface LogLine {
  time: string;
  level: number;
  msg?: string;
  err?: { stack?: string; message?: string };
  [field: string]: unknown;
}

const levels: readonly { least: number; word: string; style: 'red' | 'yellow' | 'dim' | 'reset' }[] = [
  { least: 50, word: 'error', style: 'red' },
  { least: 40, word: 'warning', style: 'yellow' },
  { least: 30, word: '', style: 'reset' },
  { least: 0, word: 'debug', style: 'dim' },
];

/** What does not help someone who reads along: the process is theirs, and traces have their own tools. */
const hidden = new Set(['time', 'level', 'msg', 'err', 'service', 'trace_id', 'span_id']);

/**
 * A JSON log line as a person reads it: time of day, what happened, then the other fields as `name=value`. The stack of an
 * error follows on lines of its own.
 */
export function prettyLine(json: string, hasColors = false): string {
  const line = JSON.parse(json) as LogLine;
  const { word, style } = levels.find(({ least }) => line.level >= least)!;
  const paint = (format: Parameters<typeof styleText>[0], text: string) =>
    hasColors && text !== '' ? styleText(format, text, { validateStream: false }) : text;
  const fields = Object.entries(line)
    .filter(([name, value]) => !hidden.has(name) && value !== undefined)
    .map(([name, value]) => `${name}=${plain(typeof value === 'string' ? value : JSON.stringify(value))}`);
  const parts = [
    paint('dim', timeOfDay(line.time)),
    paint(style, word),
    plain(line.msg ?? line.err?.message ?? ''),
    paint('dim', fields.join(' ')),
  ];
  const stack = line.level >= 50 && line.err?.stack ? `${plain(line.err.stack, '\n')}\n` : '';
  return `${parts.filter((part) => part !== '').join('  ')}\n${stack}`;
}

function timeOfDay(time: string): string {
  return new Date(time).toLocaleTimeString('en-GB');
}

/** Without control characters, which a terminal would obey. */
function plain(text: string, allowed = ''): string {
  return text.replace(/\p{Cc}/gu, (character) =>
    allowed.includes(character) ? character : JSON.stringify(character).slice(1, -1),
  );
}
