import { openGatewayData } from '../gateway/gateway-data.ts';
import { gatewaySettings } from '../gateway/settings.ts';
import { type RunningGateway, startGateway } from '../gateway/start-gateway.ts';
import { startInferenceServer } from '../services/inference/server.ts';
import { inferenceSettings } from '../services/inference/settings.ts';
import { createLogger } from '../services/kit/log.ts';
import { openProcessTls } from '../services/kit/process-tls.ts';
import { tellReadiness } from '../services/kit/readiness.ts';
import type { RunningServer } from '../services/kit/serve.ts';
import { readSettings } from '../services/kit/settings.ts';
import { loadPreset } from '../services/pipeline/preset.ts';
import { startStage } from '../services/triton/stage.ts';
import { stageSettings } from '../services/triton/stage-settings.ts';
import { ensureRepository } from '../triton-models/packaging/ensure-repository.ts';
import { weightsWarnings } from '../triton-models/packaging/weights-warnings.ts';
import { interruptSignal } from './interrupt.ts';
import { stages, startMesh } from './mesh.ts';

/** Runs a service, or without a name all of them, until a signal ends the process. */
export async function serveUntilInterrupted(name: string | undefined, address: string): Promise<void> {
  const signal = interruptSignal();
  const server = await start(name, address, signal);
  tellReadiness(() => server.isReady() && !signal.aborted);
  const page = server.httpAddress === undefined ? '' : `The page is at http://${server.httpAddress}/\n`;
  process.stdout.write(`${page}${name ?? 'fusionframes'} is serving on ${server.address}\n`);
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve());
    if (signal.aborted) {
      resolve();
    }
  });
  await server.stop();
}

async function start(
  name: string | undefined,
  address: string,
  signal: AbortSignal,
): Promise<RunningServer & Partial<RunningGateway>> {
  const settings = readSettings(stageSettings);
  const preset = loadPreset(settings.preset);
  const log = createLogger(name ?? 'fusionframes', settings.logLevel);

  const tls = await openProcessTls(settings, log);
  if (name === undefined) {
    const repository = await ensureRepository(preset, { signal });
    return startMesh({
      preset,
      repository: repository.folder,
      gatewayAddress: address,
      httpAddress: readSettings(gatewaySettings).httpAddress,
      warnings: repository.warnings,
      log,
      signal,
      tls: tls?.publicServer,
    });
  }
  if (name === 'inference') {
    const inference = readSettings(inferenceSettings);
    const repository = inference.repository || (await ensureRepository(preset, { signal })).folder;
    const allowSharedMemory = inference.allowSharedMemory === 'on';
    return startInferenceServer({
      ...inference,
      repository,
      allowSharedMemory,
      address,
      log,
      ...(tls && { tls: tls.server }),
    });
  }
  if (name === 'gateway') {
    const gateway = readSettings(gatewaySettings);
    const data = await openGatewayData({ ...gateway, log, signal });
    const server = await startGateway({
      ...gateway,
      address,
      preset,
      stageAddresses: {
        textEncoder: gateway.textEncoderAddress,
        keyframes: gateway.keyframesAddress,
        interpolation: gateway.interpolationAddress,
        decoder: gateway.decoderAddress,
      },
      warnings: await weightsWarnings(preset),
      data,
      log,
      serverTls: tls?.publicServer,
      stageTls: tls?.client,
    }).catch((error) => data.close().then(() => Promise.reject(error)));
    return { ...server, stop: () => server.stop().then(() => data.close()) };
  }
  return startStage(stages[name]!, { ...settings, address, preset, log, tls, signal });
}
