import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { ClientCaller } from './client-caller.ts';
import { readRecording } from './exchanges.ts';
import { replay } from './replay.ts';
import { report } from './report.ts';
import { isServing, serverAddress } from './triton-url.ts';

const recording = readRecording(join(packageRoot, 'test', 'fixtures', 'triton'));

test('the embedded inference server answers as Triton did', async () => {
  const outcome = await replay(recording, { withTexts: false });
  const failed = outcome.results.filter(({ verdict }) => verdict === 'failed');
  expect(failed.length === 0 ? '' : report(outcome, false)).toBe('');
  expect(outcome.skipped).toEqual([]);
  expect(outcome.results.length).toBe(533);
});

test('the same answers come through the client', async () => {
  const callers: ClientCaller[] = [];
  const createCaller = (address: string) => {
    const caller = new ClientCaller(address);
    callers.push(caller);
    return caller;
  };
  const outcome = await replay(recording, { withTexts: false, createCaller });
  const failed = outcome.results.filter(({ verdict }) => verdict === 'failed');
  expect(failed.length === 0 ? '' : report(outcome, false)).toBe('');
  // The others are what no client says: malformed tensors, unknown parameters, paths that are not methods.
  expect(callers.reduce((sum, { count }) => sum + count, 0)).toBe(409);
});

const withServer = (await isServing('addsub')) ? test : test.skip;

// It was started with --exit-on-error=false.
withServer(
  'the server at TRITON_URL answers as recorded (skipped where that does not serve test/fixtures/triton/models)',
  async () => {
    const outcome = await replay(recording, { withTexts: true, address: serverAddress! });
    const failed = outcome.results.filter(({ verdict }) => verdict === 'failed');
    expect(failed.length === 0 ? '' : report(outcome, false)).toBe('');
    expect(outcome.results.length).toBeGreaterThan(0);
  },
);
