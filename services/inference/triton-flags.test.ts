import { expect, test } from '@jest/globals';
import { pino } from 'pino';
import { LogSettings } from './protocol/log-settings.ts';
import { readTritonFlags } from './triton-flags.ts';

test("tritonserver's flags, in each of its spellings", () => {
  const flags = '--id=a --model-control-mode=poll --repository-poll-secs 2 --grpc-port=9001 --grpc-address=0.0.0.0';
  const more = '--log-info=false --log-verbose=2 --strict-readiness --exit-on-error false --backend-directory=/x';
  expect(readTritonFlags([...flags.split(' '), ...more.split(' '), '--load-model=a', '--load-model=b'])).toEqual({
    options: {
      id: 'a',
      modelControl: 'poll',
      pollSeconds: 2,
      logging: { log_info: false, log_verbose_level: 2 },
      strictReadiness: true,
      exitOnError: false,
      loadModels: ['a', 'b'],
    },
    port: 9001,
    host: '0.0.0.0',
  });
});

test.each([
  ['--nope=1', 'this server has no flag `--nope=1`; it supports --model-repository, '],
  ['id', 'this server has no flag `id`'],
  ['--model-control-mode=often', '`--model-control-mode` must be one of none, poll, explicit (got "often")'],
  ['--repository-poll-secs=0', '`--repository-poll-secs` must be a whole number from 1 to 86400 (got "0")'],
  ['--exit-on-error=maybe', '`--exit-on-error` must be true or false (got "maybe")'],
  ['--log-format=xml', '`--log-format` must be default or ISO8601 (got "xml")'],
])('%s is refused', (flag, fault) => {
  expect(() => readTritonFlags([flag])).toThrow(fault);
});

test.each([
  ['--log-info=false --log-verbose=1', ['debug', 'warn', 'error']],
  ['--log-warning=false', ['info', 'error']],
  ['--log-info=false --log-warning=false --log-error=false', []],
  ['--log-error=0 --log-verbose=2', ['trace', 'debug', 'info', 'warn']],
  ['', ['info', 'warn', 'error']],
])('%s writes %j', (flags, severities) => {
  const lines: string[] = [];
  const log = pino({}, { write: (line: string) => void lines.push(line) });
  void new LogSettings(log, readTritonFlags(flags.split(' ').filter(Boolean)).options.logging);
  const written = (['trace', 'debug', 'info', 'warn', 'error'] as const).filter((severity) => {
    lines.length = 0;
    log[severity]('x');
    return lines.length > 0;
  });
  expect(written).toEqual(severities);
});
