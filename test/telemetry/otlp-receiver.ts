import { type Metric, MetricsServiceDefinition } from '../../proto/gen/opentelemetry/metrics.ts';
import { type KeyValue, type Span, TraceServiceDefinition } from '../../proto/gen/opentelemetry/trace.ts';
import { createLogger } from '../../services/kit/log.ts';
import { serve, service } from '../../services/kit/serve.ts';

export interface ReceivedSpan {
  traceId: string;
  id: string;
  /** Empty: none. */
  parentId: string;
  name: string;
  kind: 'internal' | 'server' | 'client';
  isError: boolean;
  attributes: Record<string, unknown>;
  /** `trace id/span id` of its link. */
  links: string[];
  /** Of the process that sent it. */
  service: unknown;
}

export interface ReceivedMetric {
  name: string;
  kind: 'histogram' | 'counter' | 'upDownCounter' | 'gauge';
  unit: string;
  description: string;
  points: { attributes: Record<string, unknown>; value: number; buckets: number[] }[];
}

export interface OtlpReceiver {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  endpoint: string;
  spans: ReceivedSpan[];
  /** By name, the points of all exports. */
  metrics: Map<string, ReceivedMetric>;
  /** Credentials that its callers sent. */
  authorizations: Set<string | undefined>;
  stop(): Promise<void>;
}

/** A receiver of OTLP over gRPC on a free port. */
export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = [];
  const metrics = new Map<string, ReceivedMetric>();
  const authorizations = new Set<string | undefined>();
  const server = await serve({
    address: '127.0.0.1:0',
    log: createLogger('otlp', 'silent'),
    services: [
      service(TraceServiceDefinition, {
        async export({ resourceSpans }, { metadata }) {
          authorizations.add(metadata.get('authorization'));
          for (const { resource, scopeSpans } of resourceSpans) {
            const name = read(resource?.attributes ?? [])['service.name'];
            spans.push(...scopeSpans.flatMap((scope) => scope.spans.map((span) => readSpan(span, name))));
          }
          return {};
        },
      }),
      service(MetricsServiceDefinition, {
        async export({ resourceMetrics }, { metadata }) {
          authorizations.add(metadata.get('authorization'));
          for (const metric of resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((s) => s.metrics))) {
            const received = readMetric(metric);
            const before = metrics.get(metric.name)?.points ?? [];
            metrics.set(metric.name, { ...received, points: [...before, ...received.points] });
          }
          return {};
        },
      }),
    ],
  });
  return { endpoint: `http://${server.address}`, spans, metrics, authorizations, stop: () => server.stop() };
}

const kinds = { 1: 'internal', 2: 'server', 3: 'client' } as const;

function readSpan(span: Span, service: unknown): ReceivedSpan {
  return {
    traceId: hex(span.traceId),
    id: hex(span.spanId),
    parentId: hex(span.parentSpanId),
    name: span.name,
    kind: kinds[span.kind as keyof typeof kinds],
    isError: span.status?.code === 2,
    attributes: read(span.attributes),
    links: span.links.map(({ traceId, spanId }) => `${hex(traceId)}/${hex(spanId)}`),
    service,
  };
}

function readMetric({ name, unit, description, data }: Metric): ReceivedMetric {
  if (data?.$case === 'histogram') {
    const points = data.value.dataPoints.map(({ attributes, sum, explicitBounds }) => ({
      attributes: read(attributes),
      value: sum,
      buckets: explicitBounds,
    }));
    return { name, unit, description, kind: 'histogram', points };
  }
  const kind = data?.$case === 'gauge' ? 'gauge' : data?.value.isMonotonic ? 'counter' : 'upDownCounter';
  const points = (data?.value.dataPoints ?? []).map(({ attributes, value }) => ({
    attributes: read(attributes),
    value: Number(value?.value),
    buckets: [],
  }));
  return { name, unit, description, kind, points };
}

function read(attributes: KeyValue[]): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => {
      const given = value?.value?.value;
      return [key, typeof given === 'bigint' ? Number(given) : given];
    }),
  );
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
