import type { Logger } from '../log.ts';
import { openScope } from '../scope.ts';
import { readSettings } from '../settings.ts';
import { startMonitor } from './monitor.ts';
import type { Sdk, Telemetry } from './sdk.ts';
import { telemetrySettings } from './telemetry-settings.ts';

export interface TelemetryOptions {
  /** Name of the process, `service.name` where OTEL_SERVICE_NAME says nothing else. */
  service: string;
  /** `host:port` where Prometheus may fetch the metrics and probes ask, see {@link startMonitor}; empty: nowhere. */
  metricsAddress: string;
  log: Logger;
}

/**
 * Starts tracing and measuring as the standard `OTEL_*` variables say; once per process, before its first server or
 * client. Where they name no collector and nobody fetches metrics, nothing is loaded and nothing costs anything. Throws
 * INVALID_ARGUMENT for a variable with a wrong value and UNAVAILABLE when `metricsAddress` cannot be bound.
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
