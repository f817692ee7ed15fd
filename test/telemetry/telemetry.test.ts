import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { TextEncoderServiceDefinition } from '../../proto/gen/fusionframes/v1/text_encoder.ts';
import { connect } from '../../services/kit/channel.ts';
import { FusionError } from '../../services/kit/errors.ts';
import { createLogger } from '../../services/kit/log.ts';
import { serve, service } from '../../services/kit/serve.ts';
import { attributes, metrics, spans } from '../../services/kit/telemetry/registry.ts';
import { type CliResult, runCli, type ServiceProcess, startService } from '../support/cli.ts';
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from './otlp-receiver.ts';

const prompt = 'a large red circle moving left on a navy background';
const secret = 'navy';

let folder: string;
let receiver: OtlpReceiver;
let result: CliResult;
let scraped: string;
const cleanups: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fusionframes-test-'));
  receiver = await startOtlpReceiver();
  const metricsAddress = `127.0.0.1:${await freePort()}`;
  const telemetry = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint };
  const started: ServiceProcess[] = [];
  const start = async (name: string, environment: Record<string, string> = {}) => {
    const running = await startService(name, { ...telemetry, ...environment });
    started.push(running);
    return running.address;
  };
  const inference = { FUSIONFRAMES_INFERENCE_ADDRESS: await start('inference') };
  const [textEncoder = '', keyframes = '', interpolation = '', decoder = ''] = await Promise.all([
    start('text-encoder', inference),
    start('keyframes', { ...inference, FUSIONFRAMES_METRICS_ADDRESS: metricsAddress }),
    start('interpolation', inference),
    start('decoder', inference),
  ]);
  const gateway = await start('gateway', {
    FUSIONFRAMES_TEXT_ENCODER_ADDRESS: await startFaultyEncoder(textEncoder),
    FUSIONFRAMES_KEYFRAMES_ADDRESS: keyframes,
    FUSIONFRAMES_INTERPOLATION_ADDRESS: interpolation,
    FUSIONFRAMES_DECODER_ADDRESS: decoder,
    FUSIONFRAMES_LOG_LEVEL: 'trace',
  });
  const options = ['--steps', '3', '--interpolation-steps', '2', '--output', join(folder, 'video.mp4')];
  result = await runCli(['generate', prompt, ...options, '--address', gateway], telemetry);
  scraped = await (await fetch(`http://${metricsAddress}/metrics`)).text();
  await Promise.all(started.map((each) => each.stop()));
});

afterAll(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) {
    await cleanup();
  }
  await receiver.stop();
  await rm(folder, { recursive: true, force: true });
});

/** The text encoder behind a server that turns the first call away, as one does that is just going. */
async function startFaultyEncoder(address: string): Promise<string> {
  const { client, close } = connect(TextEncoderServiceDefinition, address);
  let calls = 0;
  const server = await serve({
    address: '127.0.0.1:0',
    log: createLogger('test', 'silent'),
    services: [
      service(TextEncoderServiceDefinition, {
        encode: (request, { metadata, signal }) =>
          calls++ === 0
            ? Promise.reject(new FusionError(Status.UNAVAILABLE, 'going away'))
            : client.encode(request, { metadata, signal }),
      }),
    ],
  });
  cleanups.push(() => server.stop().finally(close));
  return server.address;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The registry's name of a span. */
function registered({ name, kind }: ReceivedSpan): string {
  return kind === 'internal' ? name : `rpc.${kind}`;
}

function unregistered(found: Iterable<string>, known: object): string[] {
  return [...new Set(found)].filter((name) => !(name in known));
}

test('the job succeeds', () => {
  expect(result).toMatchObject({ code: 0 });
});

describe('what is emitted is what the registry lists', () => {
  test('spans, both ways', () => {
    const emitted = new Set(receiver.spans.map(registered));
    expect(unregistered(emitted, spans)).toEqual([]);
    expect(Object.keys(spans).filter((name) => !emitted.has(name))).toEqual([]);
    for (const span of receiver.spans) {
      const entry = spans[registered(span) as keyof typeof spans];
      expect({ name: span.name, kind: span.kind }).toEqual({ name: span.name, kind: entry.kind });
      const allowed: readonly string[] = entry.attributes;
      expect(Object.keys(span.attributes).filter((name) => !allowed.includes(name))).toEqual([]);
    }
  });

  test('metrics, both ways, with unit, kind, buckets and attributes', () => {
    expect(unregistered(receiver.metrics.keys(), metrics)).toEqual([]);
    expect(Object.keys(metrics).filter((name) => !receiver.metrics.has(name))).toEqual([]);
    for (const [name, { kind, unit, description, points }] of receiver.metrics) {
      const entry: { kind: string; unit: string; description: string; buckets?: readonly number[] } =
        metrics[name as keyof typeof metrics];
      expect({ name, kind, unit, description }).toMatchObject({
        name,
        kind: entry.kind,
        unit: entry.unit,
        description: entry.description,
      });
      const allowed: readonly string[] = metrics[name as keyof typeof metrics].attributes;
      for (const point of points) {
        expect(Object.keys(point.attributes).filter((attribute) => !allowed.includes(attribute))).toEqual([]);
        expect(point.buckets).toEqual(entry.buckets ?? []);
      }
    }
  });

  test('every attribute is emitted somewhere', () => {
    const points = [...receiver.metrics.values()].flatMap((metric) => metric.points);
    const emitted = new Set([...receiver.spans, ...points].flatMap((each) => Object.keys(each.attributes)));
    // Jobs do not name themselves yet.
    emitted.add('fusionframes.job.id');
    expect(Object.keys(attributes).filter((name) => !emitted.has(name))).toEqual([]);
  });

  test('the same metrics are there for Prometheus', () => {
    expect(scraped).toContain('fusionframes_step_duration_bucket{fusionframes_stage="keyframes",le="0.005"}');
    expect(scraped).not.toContain('process_command');
  });
});

describe('spans hang together', () => {
  const byId = () => new Map(receiver.spans.map((span) => [span.id, span]));
  const ancestors = (span: ReceivedSpan): string[] => {
    const names: string[] = [];
    const spansById = byId();
    for (let each: ReceivedSpan | undefined = span; each; each = spansById.get(each.parentId)) {
      names.push(`${each.service}: ${each.kind === 'internal' ? '' : `${each.kind} `}${each.name.split('/').at(-1)}`);
    }
    return names;
  };
  const inferences = (model: string) =>
    receiver.spans.filter(({ kind, attributes }) => kind === 'server' && attributes['fusionframes.model'] === model);

  test.each([
    ['keyframe_unet', 'keyframes', 'GenerateKeyframes', 3],
    ['interpolation_unet', 'interpolation', 'Interpolate', 2],
  ])('each step of %s, from the inference server to the stage', (model, stage, method, steps) => {
    const found = inferences(model);
    expect(found).toHaveLength(steps);
    for (const span of found) {
      expect(ancestors(span).slice(0, 6)).toEqual([
        'inference: server ModelInfer',
        `${stage}: client ModelInfer`,
        `${stage}: fusionframes.inference`,
        `${stage}: fusionframes.step`,
        `${stage}: server ${method}`,
        `gateway: client ${method}`,
      ]);
    }
  });

  test('a call that was tried twice is one span of its caller', () => {
    const calls = receiver.spans.filter(({ name, kind }) => name.endsWith('/Encode') && kind === 'client');
    expect(calls.map(({ isError }) => isError)).toEqual([false]);
    const retries = receiver.metrics.get('fusionframes.retries')!.points;
    expect(retries[0]!.attributes).toMatchObject({ 'rpc.response.status_code': 'UNAVAILABLE' });
  });

  test('nothing says what the prompt was', () => {
    expect(JSON.stringify(receiver.spans)).not.toContain(secret);
    expect(JSON.stringify([...receiver.metrics.values()])).not.toContain(secret);
  });
});
