import type { Command } from 'commander';
import { commonSettings } from '../services/kit/common-settings.ts';
import { createLogger } from '../services/kit/log.ts';
import { readSettings } from '../services/kit/settings.ts';
import type { Telemetry } from '../services/kit/telemetry/sdk.ts';
import { startTelemetry } from '../services/kit/telemetry/start-telemetry.ts';

/**
 * Starts the telemetry of a command as configured by the environment; `serve`, and `models verify` as a gate, also answer
 * Prometheus and probes.
 */
export function startTelemetryOf(command: Command): Promise<Telemetry> {
  const isServer = command.name() === 'serve';
  const isProbed = isServer || command.opts().gate === true;
  const { metricsAddress, logLevel } = readSettings({
    metricsAddress: commonSettings.metricsAddress,
    logLevel: commonSettings.logLevel,
  });
  const service = isServer ? (command.args[0] ?? 'fusionframes') : 'fusionframes';
  return startTelemetry({
    service,
    metricsAddress: isProbed ? metricsAddress : '',
    log: createLogger(service, logLevel),
  });
}
