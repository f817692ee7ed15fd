import { expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import type { Logger } from '../../kit/log.ts';
import { chooseProvider } from './execution-provider.ts';

test('auto takes WebGPU or says why not, and webgpu fails for the same reason', async () => {
  const reasons: unknown[] = [];
  const warn = ({ reason }: { reason: string }) => reasons.push(reason);
  const log = { info() {}, warn } as unknown as Logger;
  // What this machine has decides which half is tested.
  if ((await chooseProvider('auto', log)) === 'webgpu') {
    expect(await chooseProvider('webgpu', log)).toBe('webgpu');
    expect(reasons).toEqual([]);
  } else {
    expect(reasons).toEqual([expect.stringMatching(/./)]);
    await expect(chooseProvider('webgpu', log)).rejects.toMatchObject({
      code: Status.FAILED_PRECONDITION,
      reason: 'PROVIDER_UNAVAILABLE',
      message: `WebGPU cannot be used: ${reasons[0]}. Choose auto or cpu`,
    });
  }
});
