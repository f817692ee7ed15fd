import { integer, oneOf, type Setting, text } from '../settings.ts';

/** The standard variables that say where traces and metrics go; the SDK itself reads those of sampling and batching. */
export const telemetrySettings = {
  disabled: {
    name: 'OTEL_SDK_DISABLED',
    description: 'true: no traces and no metrics, regardless of other settings',
    schema: oneOf(['true', 'false'], 'false'),
  },
  endpoint: {
    name: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    description: 'Collector for OTLP over gRPC, such as http://collector:4317; empty: nothing is sent',
    schema: text(''),
  },
  tracesEndpoint: {
    name: 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
    description: 'A separate collector for traces',
    schema: text(''),
  },
  metricsEndpoint: {
    name: 'OTEL_EXPORTER_OTLP_METRICS_ENDPOINT',
    description: 'A separate collector for metrics',
    schema: text(''),
  },
  headers: {
    name: 'OTEL_EXPORTER_OTLP_HEADERS',
    description: 'Headers sent with every export, such as `authorization=Bearer%20…`, separated by commas',
    schema: text(''),
    isSecret: true,
  },
  protocol: {
    name: 'OTEL_EXPORTER_OTLP_PROTOCOL',
    description: 'Protocol of the collector',
    schema: oneOf(['grpc'], 'grpc'),
  },
  traces: {
    name: 'OTEL_TRACES_EXPORTER',
    description: 'otlp: to the collector; none',
    schema: oneOf(['otlp', 'none'], 'otlp'),
  },
  metrics: {
    name: 'OTEL_METRICS_EXPORTER',
    description: 'otlp: to the collector; none',
    schema: oneOf(['otlp', 'none'], 'otlp'),
  },
  metricsIntervalMilliseconds: {
    name: 'OTEL_METRIC_EXPORT_INTERVAL',
    description: 'Time between exports of metrics, milliseconds',
    schema: integer(60_000, 10, 86_400_000),
  },
} satisfies Record<string, Setting<unknown>>;
