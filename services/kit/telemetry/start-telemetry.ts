import type { Logger } from '../log.ts';
import { openScope } from '../scope.ts';
import { readSettings } from '../settings.ts';
import { startMonitor } from './monitor.ts';
import type { Sdk, Telemetry } from './sdk.ts';
import { telemetrySettings } from './telemetry-settings.ts';

export interface TelemetryOptions {
  /** Name of the process: `service.name`, unless OTEL_SERVICE_NAME is set. */
  service: string;
  /** `host:port` for Prometheus and probes, see {@link startMonitor}; empty: none. */
  metricsAddress: string;
  log: Logger;
}

/**
 * Starts tracing and metrics as configured by the standard `OTEL_*` variables; once per process, before its first server or
 * client. Without a collector and without `metricsAddress` the SDK is not loaded. Throws INVALID_ARGUMENT for an invalid
 * variable and UNAVAILABLE if `metricsAddress` is in use.
 */
export function startTelemetry(options: TelemetryOptions): Promise<Telemetry> {
  const settings = readSettings(telemetrySettings);
  const isOn = settings.disabled === 'false';
  const sendsTraces = isOn && settings.traces === 'otlp' && (settings.tracesEndpoint || settings.endpoint) !== '';
  const sendsMetrics = isOn && settings.metrics === 'otlp' && (settings.metricsEndpoint || settings.endpoint) !== '';
  const { metricsAddress } = options;
  const showsMetrics = isOn && metricsAddress !== '';
  return openScope(undefined, async (scope) => {
    let metrics: Sdk['metrics'];
    if (sendsTraces || sendsMetrics || showsMetrics) {
      const { startSdk } = await import('./sdk.ts');
      const sdk = await startSdk({
        service: options.service,
        log: options.log,
        headers: settings.headers,
        sendsTraces,
        metricsIntervalMilliseconds: sendsMetrics ? settings.metricsIntervalMilliseconds : undefined,
        showsMetrics,
      });
      ({ metrics } = scope.add(sdk));
    }
    if (metricsAddress !== '') {
      await scope.open(() => startMonitor({ address: metricsAddress, metrics }));
    }
    return { stop: () => scope.close() };
  });
}
