import { expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { createLogger } from '../../services/kit/log.ts';
import { serve } from '../../services/kit/serve.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { loadPreset } from '../../services/pipeline/preset.ts';
import { forEachStage } from '../../services/pipeline/stages.ts';
import type { GatewayData } from '../gateway-data.ts';
import { singleRoute } from '../models/model-route.ts';
import { Models } from '../models/models.ts';
import { openReadiness } from './readiness.ts';

const scope = scopeOfAllTests();
const log = createLogger('test', 'silent');

/** A database and a storage that respond. */
const data = {
  database: { sql: async () => [] },
  objects: {
    open: async () => {
      throw new FusionError(Status.NOT_FOUND, 'no such file');
    },
  },
} as unknown as GatewayData;

test('a stage that has just started is ready, although earlier checks did not reach it', async () => {
  const first = await serve({ address: '127.0.0.1:0', services: [], log });
  const { address } = first;
  await first.stop();
  const stageAddresses = forEachStage(() => address);
  const route = { ...singleRoute({ preset: loadPreset('nano'), stageAddresses }), warnings: [] };
  const readiness = scope.add(openReadiness(data, new Models([route]), undefined, 0));
  for (let check = 0; check < 3; check++) {
    const { routes, shared } = await readiness.check();
    expect(shared).toEqual({ database: 'ok', storage: 'ok' });
    expect(routes[0]).toMatchObject({ isReady: false, stages: forEachStage(() => 'unavailable') });
  }
  await scope.open(() => serve({ address, services: [], log }));
  expect((await readiness.check()).routes[0]).toMatchObject({ isReady: true, stages: forEachStage(() => 'ok') });
});
