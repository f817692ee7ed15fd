import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openGatewayData } from '../gateway/gateway-data.ts';
import { gatewaySettings } from '../gateway/settings.ts';
import { type RunningGateway, startGateway } from '../gateway/start-gateway.ts';
import { decoderStage } from '../services/decoder/decoder-stage.ts';
import { startInferenceServer } from '../services/inference/server.ts';
import { interpolationStage } from '../services/interpolation/interpolation-stage.ts';
import { keyframesStage } from '../services/keyframes/keyframes-stage.ts';
import type { Logger } from '../services/kit/log.ts';
import type { RunningServer } from '../services/kit/serve.ts';
import { readSettings } from '../services/kit/settings.ts';
import { makeTemporaryFolder } from '../services/kit/temporary-folder.ts';
import type { ServerTls } from '../services/kit/tls.ts';
import type { Preset } from '../services/pipeline/preset.ts';
import { textEncoderStage } from '../services/text-encoder/text-encoder-stage.ts';
import { type Stage, startStage } from '../services/triton/stage.ts';
import { stageSettings } from '../services/triton/stage-settings.ts';

/** The stages, by the names that people type and that addresses are set for. */
export const stages: Record<string, Stage> = {
  'text-encoder': textEncoderStage,
  keyframes: keyframesStage,
  interpolation: interpolationStage,
  decoder: decoderStage,
};

export interface MeshOptions {
  preset: Preset;
  /** Model repository of the embedded inference server. */
  repository: string;
  /** Where the gateway serves; default a local socket. */
  gatewayAddress?: string;
  /** Where the gateway serves HTTP and the page; default nowhere. */
  httpAddress?: string | undefined;
  /** For the gateway's callers; inside, sockets that others cannot open need none. Default: no TLS. */
  tls?: ServerTls | undefined;
  /** What every job should tell its caller. */
  warnings: string[];
  log: Logger;
  signal: AbortSignal;
  /** Jobs worked on at once; default: the gateway's setting. */
  concurrentJobs?: number;
}

/**
 * Starts every service of the mesh in this process, on local sockets: the same code as apart, at other addresses.
 * `stop` ends them from the front to the back, so that nothing calls what has gone.
 */
export async function startMesh(options: MeshOptions): Promise<RunningGateway> {
  const { preset, log, signal } = options;
  const folder = makeTemporaryFolder();
  const started: Pick<RunningServer, 'stop'>[] = [];
  const stop = async () => {
    for (const server of started.splice(0).reverse()) {
      await server.stop();
    }
    await rm(folder, { recursive: true, force: true });
  };
  const opening = new AbortController();
  try {
    const settings = readSettings(stageSettings);
    const ofGateway = readSettings(gatewaySettings);
    // Beside the models, which take longer.
    const opened = openGatewayData({ ...ofGateway, log, signal: AbortSignal.any([signal, opening.signal]) });
    opened.catch(() => {});
    started.push({
      stop: () =>
        opened.then(
          (data) => data.close(),
          () => {},
        ),
    });
    const inference = await startInferenceServer({
      repository: options.repository,
      address: localAddress(folder, 'inference'),
      log,
    });
    started.push(inference);
    const running = await Promise.all(
      Object.values(stages).map((stage) =>
        startStage(stage, {
          ...settings,
          address: localAddress(folder, stage.name),
          preset,
          inferenceAddress: inference.address,
          log,
          signal,
        }),
      ),
    );
    started.push(...running);
    const [textEncoder, keyframes, interpolation, decoder] = running.map((server) => server.address) as [
      string,
      string,
      string,
      string,
    ];
    const gateway = await startGateway({
      ...ofGateway,
      ...(options.concurrentJobs !== undefined && { concurrentJobs: options.concurrentJobs }),
      address: options.gatewayAddress ?? localAddress(folder, 'gateway'),
      httpAddress: options.httpAddress,
      preset,
      stageAddresses: { textEncoder, keyframes, interpolation, decoder },
      data: await opened,
      warnings: options.warnings,
      log,
      serverTls: options.tls,
    });
    started.push(gateway);
    return { ...gateway, stop };
  } catch (error) {
    opening.abort();
    await stop();
    throw error;
  }
}

/** A socket in a folder of our own, which other users of the machine cannot open; Windows has loopback ports instead. */
function localAddress(folder: string, name: string): string {
  return process.platform === 'win32' ? '127.0.0.1:0' : `unix://${join(folder, `${name}.sock`)}`;
}
