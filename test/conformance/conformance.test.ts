import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { readRecording } from './exchanges.ts';
import { replay } from './replay.ts';
import { report } from './report.ts';

test('the embedded inference server answers as Triton did', async () => {
  const recording = readRecording(join(packageRoot, 'test', 'fixtures', 'triton'));
  const outcome = await replay(recording, { withTexts: false });
  const failed = outcome.results.filter(({ verdict }) => verdict === 'failed');
  expect(failed.length === 0 ? '' : report(outcome, false)).toBe('');
  expect(outcome.skipped).toEqual([]);
  expect(outcome.results.length).toBe(533);
}, 300_000);
