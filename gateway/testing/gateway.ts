import {
  JobState,
  type Video,
  VideoServiceDefinition,
  type VideoSettings,
} from '../../proto/gen/fusionframes/v1/video.ts';
import { type ConnectedClient, connect } from '../../services/kit/channel.ts';
import { createLogger } from '../../services/kit/log.ts';
import { loadPreset } from '../../services/kit/preset.ts';
import type { RunningServer } from '../../services/kit/serve.ts';
import { readSettings } from '../../services/kit/settings.ts';
import { gatewaySettings } from '../settings.ts';
import { type GatewayOptions, type RunningGateway, startGateway } from '../start-gateway.ts';
import { type TestData, withData } from './data.ts';
import { type StageHooks, startStageDoubles } from './stage-doubles.ts';

export interface TestGateway {
  client: ConnectedClient<VideoServiceDefinition>;
  server: RunningGateway;
  stages: RunningServer;
  /** Its database, of this test alone, and its objects. */
  data: TestData;
  /** Creates a small job. */
  create(settings?: Partial<VideoSettings>, clientId?: string): Promise<Video>;
  /** Follows a job to its end; gives every state that was seen. */
  watch(id: string): Promise<Video[]>;
  /** Resolves when a worker has taken the job. */
  untilRunning(id: string): Promise<void>;
}

/** Runs `use` with a gateway of the preset nano on stage doubles, all over gRPC on loopback. */
export async function withGateway(
  use: (gateway: TestGateway) => Promise<void>,
  { hooks = {}, ...options }: Partial<GatewayOptions> & { hooks?: StageHooks } = {},
): Promise<void> {
  await withData(async (data) => {
    const stages = await startStageDoubles(hooks);
    const { address } = stages;
    const server = await startGateway({
      ...readSettings(gatewaySettings, { FUSIONFRAMES_HTTP_ADDRESS: 'off' }),
      address: '127.0.0.1:0',
      preset: loadPreset('nano'),
      stageAddresses: { textEncoder: address, keyframes: address, interpolation: address, decoder: address },
      log: createLogger('gateway', 'silent'),
      warnings: [],
      data,
      drainSeconds: 0,
      ...options,
    });
    const { client, close } = connect(VideoServiceDefinition, server.address);
    try {
      await use({
        client,
        server,
        stages,
        data,
        async create(settings = {}, clientId = '') {
          const complete = {
            prompt: 'a red circle',
            keyframes: { steps: 3 },
            interpolation: { steps: 2 },
            ...settings,
          };
          return (await client.createVideo({ settings: complete, clientId })).video!;
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
      });
    } finally {
      close();
      await server.stop();
      await stages.stop();
    }
  });
}
