import { expect, jest, test } from '@jest/globals';
import { createLogger } from '../log.ts';
import { exportFaults } from './export-faults.ts';

test('export failures are logged once a minute, without stacks', () => {
  jest.useFakeTimers();
  const log = createLogger('test', 'silent');
  const warn = jest.spyOn(log, 'warn').mockImplementation(() => {});
  const { error } = exportFaults(log);
  const failure = JSON.stringify({ stack: 'Error: no connection\n at x', message: 'no connection', name: 'Error' });
  for (let second = 0; second < 120; second++) {
    error(failure);
    jest.advanceTimersByTime(1000);
  }
  error('not JSON');
  expect(warn.mock.calls).toEqual([
    [{ telemetry: true }, 'no connection'],
    [{ telemetry: true, unsaid: 59 }, 'no connection'],
    [{ telemetry: true, unsaid: 59 }, 'not JSON'],
  ]);
  jest.useRealTimers();
});
