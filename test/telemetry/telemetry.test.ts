import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { DecoderServiceDefinition } from '../../proto/gen/fusionframes/v1/decoder.ts';
import { TextEncoderServiceDefinition } from '../../proto/gen/fusionframes/v1/text_encoder.ts';
import { connect } from '../../services/kit/channel.ts';
import { FusionError } from '../../services/kit/errors.ts';
import { createLogger } from '../../services/kit/log.ts';
import { Scope } from '../../services/kit/scope.ts';
import { serve, service } from '../../services/kit/serve.ts';
import { metrics } from '../../services/kit/telemetry/metric-registry.ts';
import { attributes, spans } from '../../services/kit/telemetry/registry.ts';
import { createAuthority, type TestAuthority } from '../../services/kit/testing/certificates.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { loadPreset } from '../../services/pipeline/preset.ts';
import { awaitEachStage, stageNames } from '../../services/pipeline/stages.ts';
import { tensor } from '../../services/pipeline/tensor.ts';
import { toChunks } from '../../services/pipeline/tensor-chunks.ts';
import { ensureRepository } from '../../triton-models/packaging/ensure-repository.ts';
import { type CliResult, runCli, type ServiceProcess, startService } from '../support/cli.ts';
import { freePorts } from '../support/free-ports.ts';
import { stageEnvironment } from '../support/stage-environment.ts';
import { tinyPreset, tinyPresetEnvironment } from '../support/tiny-preset.ts';
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from './otlp-receiver.ts';
import {
  callersSpan,
  callersTrace,
  finish,
  type Job,
  makeWithPreview,
  openTooMany,
  pauseOne,
  prompt,
  requestTooSoon,
} from './requests.ts';

const secret = 'navy';

let folder: string;
let receiver: OtlpReceiver;
let result: CliResult;
let scraped: string;
let turnedAway: unknown;
let authority: TestAuthority;
let job: Job;
const scope = new Scope();

beforeAll(async () => {
  folder = temporaryFolder(scope);
  authority = createAuthority();
  receiver = scope.add(await startOtlpReceiver());
  const metricsAddress = `127.0.0.1:${await freePorts(1)}`;
  const headers = join(folder, 'headers');
  await writeFile(headers, 'authorization=Bearer%20of%20tests\n');
  const telemetry = {
    ...tinyPresetEnvironment,
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
    OTEL_EXPORTER_OTLP_HEADERS_FILE: headers,
    OTEL_METRIC_EXPORT_INTERVAL: '1000',
  };
  const started: ServiceProcess[] = [];
  const start = async (name: string, callers: string[], environment: Record<string, string> = {}) => {
    const running = await startService(name, { ...telemetry, ...(await identity(name, callers)), ...environment });
    started.push(running);
    return running.address;
  };
  const repository = { FUSIONFRAMES_MODEL_REPOSITORY: await repositoryForMeetings() };
  const inference = { FUSIONFRAMES_INFERENCE_ADDRESS: await start('inference', [...stageNames], repository) };
  const stages = await awaitEachStage((name) =>
    start(name, ['gateway'], {
      ...inference,
      ...(name === 'keyframes' && { FUSIONFRAMES_METRICS_ADDRESS: metricsAddress }),
    }),
  );
  const gateway = await start('gateway', [], {
    ...stageEnvironment({ ...stages, 'text-encoder': await startFaultyEncoder(stages['text-encoder']) }),
    FUSIONFRAMES_MAX_CONNECTIONS_PER_ADDRESS: '8',
    FUSIONFRAMES_CHECKPOINT_SECONDS: '0.001',
    FUSIONFRAMES_PREEMPT_SECONDS: '0.01',
    FUSIONFRAMES_CONCURRENT_JOBS: '1',
    FUSIONFRAMES_MODERATION_URL: await startModerator(),
    // Moderated frames leave no previews, which have a metric.
    FUSIONFRAMES_MODERATION_CHECKS: 'prompt',
  });
  const options = ['--steps', '3', '--interpolation-steps', '2', '--output', join(folder, 'video.mp4')];
  result = await runCli(['generate', prompt, ...options, '--address', gateway], {
    ...telemetry,
    FUSIONFRAMES_TLS_CA: join(folder, 'ca'),
  });
  const tls = { ca: authority.certificate, ...issue('keyframes') };
  const stranger = scope.add(connect(DecoderServiceDefinition, stages.decoder, { tls }));
  turnedAway = await stranger.client
    .decode((async function* () {})())
    [Symbol.asyncIterator]()
    .next()
    .catch((error) => error);
  await decodeNaN(stages.decoder);
  await openTooMany(started.at(-1)!.httpAddress!);
  job = await makeWithPreview(started.at(-1)!.httpAddress!);
  await finish(started.at(-1)!.httpAddress!, job.id);
  await requestTooSoon(started.at(-1)!.httpAddress!);
  await pauseOne(started.at(-1)!.httpAddress!);
  scraped = await (await fetch(`http://${metricsAddress}/metrics`)).text();
  await Promise.all(started.map((each) => each.stop()));
});

afterAll(() => scope.close());

/** A repository whose keyframe network may be on a GPU, as far as stages know: steps of several videos meet. */
async function repositoryForMeetings(): Promise<string> {
  const repository = join(folder, 'repository');
  await ensureRepository(loadPreset(tinyPreset), { folder: repository });
  const config = join(repository, 'keyframe_unet', 'config.pbtxt');
  await writeFile(config, (await readFile(config, 'utf8')).replace('KIND_CPU', 'KIND_MODEL'));
  return repository;
}

/** A moderation service that allows everything; returns its URL. */
async function startModerator(): Promise<string> {
  const moderator = scope.add(createServer((_, response) => response.end('{"verdict": "allow"}')));
  await once(moderator.listen(0, '127.0.0.1'), 'listening');
  return `http://127.0.0.1:${(moderator.address() as AddressInfo).port}`;
}

/** Latents for which the decoder returns NaN. */
async function decodeNaN(address: string): Promise<void> {
  const tls = { ca: authority.certificate, ...issue('gateway') };
  const { client } = scope.add(connect(DecoderServiceDefinition, address, { tls }));
  async function* requests() {
    for (const latents of toChunks(tensor('float32', [1, 4, 8, 8], new Float32Array(256).fill(Number.NaN)))) {
      yield { latents };
    }
  }
  await expect(client.decode(requests())[Symbol.asyncIterator]().next()).rejects.toMatchObject({
    reason: 'PREDICTION_NOT_FINITE',
  });
}

/** Certificates as a deployment mounts them, with a name of this machine and the service's identity. */
async function identity(name: string, callers: string[]): Promise<Record<string, string>> {
  const { certificate, key } = issue(name);
  const files = { certificate: join(folder, `${name}.crt`), key: join(folder, `${name}.key`), ca: join(folder, 'ca') };
  await writeFile(files.certificate, certificate);
  await writeFile(files.key, key);
  await writeFile(files.ca, authority.certificate);
  return {
    FUSIONFRAMES_TLS_CERTIFICATE: files.certificate,
    FUSIONFRAMES_TLS_KEY: files.key,
    FUSIONFRAMES_TLS_CA: files.ca,
    FUSIONFRAMES_TLS_ALLOWED_CALLERS: callers.map((caller) => `spiffe://fusionframes/${caller}`).join(','),
  };
}

function issue(name: string) {
  return authority.issue(name, ['127.0.0.1', `spiffe://fusionframes/${name}`]);
}

/** The text encoder behind a server that refuses the first call, as one that is shutting down does. */
async function startFaultyEncoder(address: string): Promise<string> {
  const ca = authority.certificate;
  const tls = { ca, ...issue('gateway') };
  const { client } = scope.add(connect(TextEncoderServiceDefinition, address, { tls }));
  let calls = 0;
  const server = await serve({
    address: '127.0.0.1:0',
    log: createLogger('test', 'silent'),
    tls: { ...issue('text-encoder'), clientCa: ca },
    services: [
      service(TextEncoderServiceDefinition, {
        encode: (request, { metadata, signal }) =>
          calls++ === 0
            ? Promise.reject(new FusionError(Status.UNAVAILABLE, 'going away'))
            : client.encode(request, { metadata, signal }),
      }),
    ],
  });
  return scope.add(server).address;
}

/** The registry's name of a span. */
function registered({ name, kind, attributes }: ReceivedSpan): string {
  return 'http.route' in attributes ? 'http.server' : kind === 'internal' ? name : `rpc.${kind}`;
}

function unregistered(found: Iterable<string>, known: object): string[] {
  return [...new Set(found)].filter((name) => !(name in known));
}

test('the job succeeds, between processes with mutual TLS', () => {
  expect(result).toMatchObject({ code: 0 });
});

test('the collector receives the headers from the file', () => {
  expect([...receiver.authorizations]).toEqual(['Bearer of tests']);
});

test('a stage rejects other stages', () => {
  expect(turnedAway).toMatchObject({
    code: Status.PERMISSION_DENIED,
    message: expect.stringContaining('spiffe://fusionframes/keyframes'),
  });
});

describe('emitted telemetry matches the registry', () => {
  test('spans, in both directions', () => {
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

  test('metrics, in both directions, with unit, kind, buckets and attributes', () => {
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
    expect(Object.keys(attributes).filter((name) => !emitted.has(name))).toEqual([]);
  });

  test('Prometheus gets the same metrics', () => {
    expect(scraped).toContain('fusionframes_step_duration_bucket{fusionframes_stage="keyframes",le="0.005"}');
    expect(scraped).not.toContain('process_command');
  });
});

describe('spans form one trace', () => {
  const byId = () => new Map(receiver.spans.map((span) => [span.id, span]));
  const ancestors = (span: ReceivedSpan): string[] => {
    const names: string[] = [];
    const spansById = byId();
    for (let each: ReceivedSpan | undefined = span; each; each = spansById.get(each.parentId)) {
      names.push(
        `${each.service}: ${each.kind === 'internal' ? '' : `${each.kind} `}${each.name.replace(/^[\w.]+\//, '')}`,
      );
    }
    return names;
  };
  const inferences = (model: string) =>
    receiver.spans.filter(({ kind, attributes }) => kind === 'server' && attributes['fusionframes.model'] === model);

  const ofJob = () => receiver.spans.filter(({ traceId }) => traceId === callersTrace);

  test.each([
    ['keyframe_unet', 'keyframes', 'GenerateKeyframes', 3],
    ['interpolation_unet', 'interpolation', 'Interpolate', 2],
  ])("each step of %s, from the inference server to the caller's span", (model, stage, method, steps) => {
    const found = inferences(model).filter(({ traceId }) => traceId === callersTrace);
    expect(found).toHaveLength(steps);
    for (const span of found) {
      expect(ancestors(span)).toEqual([
        'inference: server ModelInfer',
        `${stage}: client ModelInfer`,
        `${stage}: fusionframes.inference`,
        `${stage}: fusionframes.step`,
        `${stage}: server ${method}`,
        `gateway: client ${method}`,
        'gateway: fusionframes.stage',
        'gateway: fusionframes.job',
        'gateway: server POST /v1/videos',
      ]);
    }
  });

  test.each([
    ['keyframe_unet', 'GenerateKeyframes'],
    ['interpolation_unet', 'Interpolate'],
    ['movq_decoder', 'Decode'],
  ])('the backend time of %s is on its requests, and their sum on the call of the stage', (model, method) => {
    const seconds = ({ attributes }: ReceivedSpan) => Number(attributes['fusionframes.backend.seconds']);
    const calls = ofJob().filter(({ name, kind }) => kind === 'server' && name.endsWith(`/${method}`));
    const requests = inferences(model).filter(({ traceId }) => traceId === callersTrace);
    const sum = (spans: ReceivedSpan[]) => spans.map(seconds).reduce((total, each) => total + each);
    expect(requests.map(seconds).every((each) => each > 0)).toBe(true);
    expect(sum(calls)).toBeCloseTo(sum(requests), 6);
  });

  test("the trace is the caller's, begins with its call and holds the whole job, to the file", () => {
    const roots = ofJob().filter((span) => !ofJob().some(({ id }) => id === span.parentId));
    expect(roots.map(({ name, parentId }) => ({ name, parentId }))).toEqual([
      { name: 'POST /v1/videos', parentId: callersSpan },
    ]);
    expect(new Set(ofJob().map(({ service }) => service))).toEqual(new Set(['gateway', ...stageNames, 'inference']));
    const files = ofJob().filter(({ name }) => name === 'fusionframes.file.store');
    expect(files.map(({ attributes }) => attributes['fusionframes.file.name'])).toContain('video.mp4');
    expect(ancestors(files.find(({ attributes }) => attributes['fusionframes.file.name'] === 'video.mp4')!)).toEqual([
      'gateway: fusionframes.file.store',
      'gateway: fusionframes.stage',
      'gateway: fusionframes.job',
      'gateway: server POST /v1/videos',
    ]);
  });

  test('every process names the job', () => {
    expect(job.status).toBe('completed');
    const unnamed = ofJob().filter(
      ({ name, kind, attributes }) =>
        kind !== 'internal' && !name.startsWith('POST ') && attributes['fusionframes.job.id'] !== job.id,
    );
    expect(unnamed).toEqual([]);
  });

  test('a repeated attempt continues the trace, linked to the previous attempt', () => {
    const faulty = receiver.spans.find(
      ({ name, kind, isError }) => name.endsWith('/Encode') && kind === 'client' && isError,
    )!;
    const attempts = receiver.spans
      .filter(({ name, traceId }) => name === 'fusionframes.job' && traceId === faulty.traceId)
      .sort(
        (a, b) => Number(a.attributes['fusionframes.job.attempt']) - Number(b.attributes['fusionframes.job.attempt']),
      );
    expect(attempts.map(({ attributes }) => attributes['fusionframes.job.outcome'])).toEqual([
      'given-back',
      'succeeded',
    ]);
    const [first, second] = attempts as [ReceivedSpan, ReceivedSpan];
    expect(second.parentId).toBe(first.parentId);
    expect(second.links).toEqual([`${first.traceId}/${first.id}`]);
    const retries = receiver.metrics.get('fusionframes.retries')!.points;
    expect(retries[0]!.attributes).toEqual({
      'fusionframes.stage': 'text-encoder',
      'rpc.response.status_code': 'UNAVAILABLE',
    });
  });

  test('telemetry never contains the prompt', () => {
    expect(JSON.stringify(receiver.spans)).not.toContain(secret);
    expect(JSON.stringify([...receiver.metrics.values()])).not.toContain(secret);
  });
});
