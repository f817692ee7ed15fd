import {
  type CreateVideoRequest,
  JobState,
  type Video,
  VideoServiceDefinition,
  type VideoSettings,
} from '../../proto/gen/fusionframes/v1/video.ts';
import { type ConnectedClient, connect, longCallSeconds } from '../../services/kit/channel.ts';
import { createLogger } from '../../services/kit/log.ts';
import type { RunningServer } from '../../services/kit/serve.ts';
import { readSettings } from '../../services/kit/settings.ts';
import { loadPreset, type Preset } from '../../services/pipeline/preset.ts';
import { forEachStage } from '../../services/pipeline/stages.ts';
import { type ModelRoute, singleRoute } from '../models/model-route.ts';
import { gatewaySettings } from '../settings.ts';
import { type GatewayOptions, type RunningGateway, startGateway } from '../start-gateway.ts';
import { type TestData, withData } from './data.ts';
import { type StageHooks, startStageDoubles } from './stage-doubles.ts';

/** Test operations over a gateway's contract. */
export interface TestClient {
  client: ConnectedClient<VideoServiceDefinition>;
  /** Creates a small job. */
  create(settings?: Partial<VideoSettings>, clientId?: string, options?: Partial<CreateVideoRequest>): Promise<Video>;
  /** Watches a job to its end; returns every state seen. */
  watch(id: string): Promise<Video[]>;
  /** Resolves once a worker has claimed the job. */
  untilRunning(id: string): Promise<void>;
  close(): void;
}

export interface TestGateway extends TestClient {
  server: RunningGateway;
  stages: RunningServer;
  /** The database and objects of this test. */
  data: TestData;
}

/** Of a gateway with a route for each preset, by default nano, unless `routes` are given. */
type TestGatewayOptions = Partial<GatewayOptions & Pick<ModelRoute, 'stageAddresses' | 'warnings'>> & {
  presets?: readonly [Preset, ...Preset[]];
};

export type TestOptions = TestGatewayOptions & { hooks?: StageHooks };

/** Runs `use` with a gateway for the preset nano on stage doubles, all over gRPC on loopback. */
export async function withGateway(
  use: (gateway: TestGateway) => Promise<void>,
  { hooks = {}, ...options }: TestOptions = {},
): Promise<void> {
  await withData(async (data) => {
    const stages = await startStageDoubles(hooks);
    const server = await startTestGateway(data, stages.address, options);
    const client = testClient(server.address);
    try {
      await use({ ...client, server, stages, data });
    } finally {
      client.close();
      await server.stop();
      await stages.stop();
    }
  });
}

/** A route to the preset nano with all stages at one address. */
export function testRoute(stages: string, route: Partial<ModelRoute> = {}): ModelRoute {
  const stageAddresses = forEachStage(() => stages);
  return { ...singleRoute({ preset: loadPreset('nano'), stageAddresses, warnings: [] }), ...route };
}

/** Starts a gateway on shareable data, with all stages at one address. */
export function startTestGateway(
  data: GatewayOptions['data'],
  stages: string,
  { stageAddresses, warnings, presets: [first, ...others] = [loadPreset('nano')], ...options }: TestGatewayOptions = {},
): Promise<RunningGateway> {
  const route = (preset: Preset) =>
    testRoute(stages, { preset, ...(stageAddresses && { stageAddresses }), ...(warnings && { warnings }) });
  return startGateway({
    // Nothing is recorded that a test does not ask for, however slow the machine.
    ...readSettings(gatewaySettings, { FUSIONFRAMES_HTTP_ADDRESS: 'off', FUSIONFRAMES_CHECKPOINT_SECONDS: '0' }),
    address: '127.0.0.1:0',
    routes: [route(first), ...others.map(route)],
    log: createLogger('gateway', 'silent'),
    data,
    drainSeconds: 0,
    ...options,
  });
}

export function testClient(address: string, apiKey?: string): TestClient {
  const { client, close } = connect(VideoServiceDefinition, address, {
    // A watch lasts as long as its job, however slow the machine; if it hangs, the test's timeout ends it.
    callTimeoutSeconds: longCallSeconds,
    ...(apiKey && { metadata: { authorization: `Bearer ${apiKey}` } }),
  });
  return {
    client,
    close,
    async create(settings = {}, clientId = '', options = {}) {
      const complete = { prompt: 'a red circle', keyframes: { steps: 3 }, interpolation: { steps: 2 }, ...settings };
      return (await client.createVideo({ settings: complete, clientId, ...options })).video!;
    },
    async watch(id) {
      const seen: Video[] = [];
      for await (const { video } of client.watchVideo({ id })) {
        seen.push(video!);
      }
      return seen;
    },
    async untilRunning(id) {
      for await (const { video } of client.watchVideo({ id })) {
        if (video!.state !== JobState.JOB_STATE_QUEUED) {
          return;
        }
      }
    },
  };
}
