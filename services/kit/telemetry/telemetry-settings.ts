import { parseHostPort } from '../addresses.ts';
import { checkedText, integer, oneOf, type Setting } from '../settings.ts';

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
    schema: checkedText('', endpointFault),
  },
  tracesEndpoint: {
    name: 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
    description: 'A separate collector for traces',
    schema: checkedText('', endpointFault),
  },
  metricsEndpoint: {
    name: 'OTEL_EXPORTER_OTLP_METRICS_ENDPOINT',
    description: 'A separate collector for metrics',
    schema: checkedText('', endpointFault),
  },
  headers: {
    name: 'OTEL_EXPORTER_OTLP_HEADERS',
    description: 'Headers sent with every export, such as `authorization=Bearer%20…`, separated by commas',
    schema: checkedText('', headersFault),
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

function endpointFault(text: string): string | undefined {
  const isUrl = /^https?:\/\//i.test(text) && URL.canParse(text);
  return isUrl || parseHostPort(text) ? undefined : 'must be a URL such as http://collector:4317';
}

/** OpenTelemetry's specification: pairs as in W3C Baggage, with values percent-encoded. */
function headersFault(text: string): string | undefined {
  const areValid = text.split(',').every((pair) => /^\s*[!#$%&'*+.^_`|~\w-]+\s*=[^=]/.test(pair) && isDecodable(pair));
  return areValid
    ? undefined
    : 'must be pairs of the form name=value, separated by commas, with values percent-encoded';
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
