import { randomUUID } from 'node:crypto';
import { Metadata } from '@grpc/grpc-js';
import { context, DiagLogLevel, diag, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  CompositePropagator,
  parseKeyPairsIntoRecord,
  W3CBaggagePropagator,
  W3CTraceContextPropagator,
} from '@opentelemetry/core';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-grpc';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { MeterProvider, type MetricReader, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { Logger } from '../log.ts';
import { packageVersion } from '../package-root.ts';
import { within } from '../within.ts';
import { exportFaults } from './export-faults.ts';
import { useMeter } from './metrics.ts';
import type { MonitorOptions } from './monitor.ts';

export interface Telemetry {
  /** Flushes pending telemetry, within a few seconds. */
  stop(): Promise<void>;
}

/** Running telemetry, and the handler that serves it to scrapers. */
export type Sdk = Telemetry & Pick<MonitorOptions, 'metrics'>;

export interface SdkOptions {
  service: string;
  log: Logger;
  /** Metadata of exports, from OTEL_EXPORTER_OTLP_HEADERS. */
  headers: string;
  sendsTraces: boolean;
  /** Interval of exports; undefined if metrics are not exported. */
  metricsIntervalMilliseconds: number | undefined;
  /** Whether metrics can be scraped. */
  showsMetrics: boolean;
}

/** How long a stopping process waits for pending telemetry, in seconds. */
const flushSeconds = 5;

/** The part of {@link startTelemetry} that needs the SDK, which takes a while to load. */
export async function startSdk(options: SdkOptions): Promise<Sdk> {
  diag.setLogger(exportFaults(options.log), { logLevel: DiagLogLevel.ERROR, suppressOverrideMessage: true });
  const resource = resourceFromAttributes({
    'service.namespace': 'fusionframes',
    'service.name': options.service,
    'service.version': packageVersion(),
    'service.instance.id': randomUUID(),
  }).merge(detectResources({ detectors: [envDetector] }));

  const metadata = Metadata.fromHttp2Headers(parseKeyPairsIntoRecord(options.headers));
  const readers: MetricReader[] = [];
  const prometheus = options.showsMetrics
    ? new PrometheusExporter({ preventServerStart: true, withoutScopeInfo: true })
    : undefined;
  if (prometheus) {
    readers.push(prometheus);
  }
  if (options.metricsIntervalMilliseconds !== undefined) {
    const exportIntervalMillis = options.metricsIntervalMilliseconds;
    readers.push(
      new PeriodicExportingMetricReader({
        exporter: new OTLPMetricExporter({ metadata }),
        exportIntervalMillis,
        exportTimeoutMillis: Math.min(exportIntervalMillis, 30_000),
      }),
    );
  }
  const meters = readers.length > 0 ? new MeterProvider({ resource, readers }) : undefined;
  useMeter(meters?.getMeter('fusionframes'));

  const spans = options.sendsTraces
    ? new BasicTracerProvider({
        resource,
        spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ metadata }))],
      })
    : undefined;
  if (spans) {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    propagation.setGlobalPropagator(
      new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()] }),
    );
    trace.setGlobalTracerProvider(spans);
  }
  return {
    metrics: prometheus && ((request, response) => prometheus.getMetricsRequestHandler(request, response)),
    async stop() {
      const sent = Promise.allSettled([spans?.shutdown(), meters?.shutdown()]);
      // An unreachable collector must not keep the process alive.
      await within(flushSeconds, 'telemetry was not sent', sent).catch(() => {});
      useMeter(undefined);
      for (const api of [trace, propagation, context, diag]) {
        api.disable();
      }
    },
  };
}
