import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { TextEncoderServiceDefinition, type TextEncoding } from '../../proto/gen/fusionframes/v1/text_encoder.ts';
import {
  GRPCInferenceServiceDefinition,
  type ModelInferRequest,
  ModelInferResponse,
  ModelMetadataResponse,
} from '../../proto/gen/grpc_service.ts';
import { connect } from '../kit/channel.ts';
import { deferred } from '../kit/deferred.ts';
import { createLogger } from '../kit/log.ts';
import { packageRoot } from '../kit/package-root.ts';
import { serve, service } from '../kit/serve.ts';
import { scopeOfEachTest } from '../kit/testing/test-scope.ts';
import { loadPreset, type Preset } from '../pipeline/preset.ts';
import { tensorBytes, tensorFromBytes } from '../pipeline/tensor.ts';
import { fromWireTensor } from '../pipeline/tensor-chunks.ts';
import { prepareStage, startStage } from '../triton/stage.ts';
import { textEncoderStage } from './text-encoder-stage.ts';

const contextSize = 4;
const maxTokens = 8;
const end = 1;
const log = createLogger('test', 'silent');
const nano = loadPreset('nano');

function presetWith(contextTokens: Preset['textEncoder']['contextTokens']): Preset {
  const textEncoder: Preset['textEncoder'] = {
    ...nano.textEncoder,
    network: { ...nano.textEncoder.network, context_dim: contextSize },
    tokenizer: join(packageRoot, 'test/fixtures/tokenizers/unigram.json'),
    padTokenId: 0,
    endTokenId: end,
    maxTokens,
    contextTokens,
  };
  return { ...nano, textEncoder };
}

/** The inputs of one inference request. */
interface Asked {
  ids: number[];
  mask: number[];
}

/**
 * Speaks Triton's protocol as far as a stage needs it, over real gRPC, with an encoder simple enough to check by hand:
 * row i of the context repeats token i, and is zero where masked.
 */
async function startEncoder(behaviour: (asked: Asked, signal: AbortSignal) => Promise<number> = async () => 1) {
  const asked: Asked[] = [];
  const tensors = (names: [string, string, number[]][]) =>
    names.map(([name, datatype, shape]) => ({ name, datatype, shape: shape.map(BigInt) }));
  const implementation = {
    async modelMetadata() {
      return ModelMetadataResponse.fromPartial({
        inputs: tensors([
          ['input_ids', 'INT64', [-1, -1]],
          ['attention_mask', 'BOOL', [-1, -1]],
        ]),
        outputs: tensors([['context', 'FP32', [-1, -1, contextSize]]]),
      });
    },
    async modelInfer(request: ModelInferRequest, { signal }: { signal: AbortSignal }) {
      const [ids, mask] = request.rawInputContents as [Uint8Array, Uint8Array];
      const tokens = mask.length;
      const question: Asked = {
        ids: [...tensorFromBytes('int64', [tokens], ids).data].map(Number),
        mask: [...mask],
      };
      asked.push(question);
      const scale = await behaviour(question, signal);
      const data = Float32Array.from({ length: tokens * contextSize }, (_, i) => {
        const token = Math.floor(i / contextSize);
        return question.mask[token]! * question.ids[token]! * scale;
      });
      return ModelInferResponse.fromPartial({
        outputs: tensors([['context', 'FP32', [1, tokens, contextSize]]]),
        rawOutputContents: [tensorBytes({ dataType: 'float32', shape: [], data })],
      });
    },
  };
  const { modelMetadata, modelInfer } = GRPCInferenceServiceDefinition.methods;
  const definition = { ...GRPCInferenceServiceDefinition, methods: { modelMetadata, modelInfer } };
  const server = await serve({
    address: '127.0.0.1:0',
    services: [service(definition, implementation)],
    log,
    drainSeconds: 0.1,
  });
  return { server, asked };
}

const scope = scopeOfEachTest();

async function start(
  contextTokens: Preset['textEncoder']['contextTokens'],
  behaviour?: (asked: Asked, signal: AbortSignal) => Promise<number>,
) {
  const { server, asked } = await startEncoder(behaviour);
  scope.add(server);
  const stage = await startStage(prepareStage(textEncoderStage, presetWith(contextTokens), {}), {
    address: '127.0.0.1:0',
    inferenceAddress: server.address,
    log,
    startupTimeoutSeconds: 10,
    requestTimeoutSeconds: 10,
    maxBytesInFlight: 1 << 20,
    maxConcurrentCalls: 8,
    drainSeconds: 0.1,
    signal: new AbortController().signal,
  });
  scope.add(stage);
  const { client } = scope.add(connect(TextEncoderServiceDefinition, stage.address));
  return { client, asked, server };
}

function read(encoding: TextEncoding | undefined) {
  const context = fromWireTensor('context', encoding?.context, 'float32', 2);
  const mask = fromWireTensor('mask', encoding?.contextMask, 'bool', 1);
  const rows = Array.from({ length: context.shape[0]! }, (_, row) => context.data[row * contextSize]!);
  return { shape: context.shape, rows, mask: [...mask.data] };
}

describe('the context', () => {
  test('is one token longer than the prompt when the preset trims it', async () => {
    const { client } = await start('trimmed');
    const response = await client.encode({ prompt: 'a red circle' });
    expect(read(response.prompt)).toEqual({
      shape: [5, contextSize],
      rows: [4, 5, 7, end, 0],
      mask: [1, 1, 1, 1, 0],
    });
    expect(response).toMatchObject({ negativePrompt: undefined, truncatedTokens: 0, maxTokens });
  });

  test('is at most as long as the encoder reads', async () => {
    const { client } = await start('trimmed');
    const response = await client.encode({ prompt: 'red '.repeat(10) });
    expect(read(response.prompt)).toEqual({
      shape: [maxTokens, contextSize],
      rows: [5, 5, 5, 5, 5, 5, 5, end],
      mask: [1, 1, 1, 1, 1, 1, 1, 1],
    });
    expect(response.truncatedTokens).toBe(3);
  });

  test('has the length that the preset fixes', async () => {
    const { client } = await start(6);
    const response = await client.encode({ prompt: 'a red circle' });
    expect(read(response.prompt)).toMatchObject({ rows: [4, 5, 7, end, 0, 0], mask: [1, 1, 1, 1, 0, 0] });
    expect((await client.encode({ prompt: 'red '.repeat(6) })).truncatedTokens).toBe(1);
  });

  test("of a negative prompt is cut to the prompt's tokens and has the prompt's mask", async () => {
    const { client } = await start('trimmed');
    const long = await client.encode({ prompt: 'a red circle', negativePrompt: 'blue blue blue blue' });
    expect(read(long.negativePrompt)).toMatchObject({ rows: [6, 6, 6, end, 0], mask: [1, 1, 1, 1, 0] });
    expect(long.negativeTruncatedTokens).toBe(1);

    const { client: another, asked } = await start('trimmed');
    const short = await another.encode({ prompt: 'a red circle', negativePrompt: 'blue' });
    expect(asked).toContainEqual({ ids: [6, end, 0, 0, 0], mask: [1, 1, 1, 1, 0] });
    expect(read(short.negativePrompt)).toMatchObject({ mask: [1, 1, 1, 1, 0] });
    expect(short.negativeTruncatedTokens).toBe(0);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])('is zero and masked where the encoder gives %s', async (value) => {
    const { client } = await start('trimmed', async () => value);
    const { prompt } = await client.encode({ prompt: 'a red circle' });
    expect(read(prompt)).toEqual({ shape: [5, contextSize], rows: [0, 0, 0, 0, 0], mask: [0, 0, 0, 0, 0] });
  });
});

describe('the cache', () => {
  test('the same text is encoded once, even for concurrent requests', async () => {
    const release = deferred();
    const { client, asked } = await start('trimmed', () => release.promise.then(() => 1));
    const requests = [1, 2, 3].map(() => client.encode({ prompt: 'a red circle', negativePrompt: 'blue' }));
    release.resolve();
    const [first, ...others] = await Promise.all(requests);
    expect(others).toEqual([first, first]);
    expect(await client.encode({ prompt: ' a  red circle ', negativePrompt: 'blue' })).toEqual(first);
    expect(asked.length).toBe(2);
  });

  test('a negative prompt is re-encoded for a prompt of another length', async () => {
    const { client, asked } = await start('trimmed');
    await client.encode({ prompt: 'red', negativePrompt: 'blue' });
    await client.encode({ prompt: 'a red circle', negativePrompt: 'blue' });
    expect(asked.map(({ mask }) => mask.length)).toEqual([3, 3, 5, 5]);
  });
});

describe('a call', () => {
  test('that is cancelled cancels the inference', async () => {
    const begun = deferred();
    const cancelled = deferred();
    const { client } = await start('trimmed', async (_, signal) => {
      begun.resolve();
      await once(signal, 'abort');
      cancelled.resolve();
      throw signal.reason;
    });
    const abort = new AbortController();
    const call = client.encode({ prompt: 'red' }, { signal: abort.signal });
    await begun.promise;
    abort.abort();
    await expect(call).rejects.toMatchObject({ name: 'AbortError' });
    await cancelled.promise;
  });

  test.each([
    ['prompt', { prompt: '' }, '`prompt` must be 1 to 10000 characters (got "")'],
    ['prompt', { prompt: ' \n\t ' }, 'must be 1 to 10000 characters'],
    ['prompt', { prompt: 'x'.repeat(10_001) }, '`prompt` must be at most 10000 characters (got 10001)'],
    [
      'negative_prompt',
      { prompt: 'red', negativePrompt: 'x'.repeat(10_001) },
      '`negative_prompt` must be at most 10000 characters (got 10001)',
    ],
  ])('with a bad %s is refused', async (field, request, message) => {
    const { client, asked } = await start('trimmed');
    await expect(client.encode(request)).rejects.toMatchObject({
      code: Status.INVALID_ARGUMENT,
      field,
      message: expect.stringContaining(message),
    });
    expect(asked).toEqual([]);
  });

  test('with 10,000 characters and with a blank negative prompt succeeds', async () => {
    const { client } = await start('trimmed');
    const response = await client.encode({ prompt: 'x'.repeat(10_000), negativePrompt: '  ' });
    expect(response.truncatedTokens).toBe(10_001 - (maxTokens - 1));
    expect(response.negativePrompt).toBeUndefined();
  });

  test('names the model and the server that is down', async () => {
    const { client, server } = await start('trimmed');
    await server.stop();
    await expect(client.encode({ prompt: 'red' })).rejects.toMatchObject({
      code: Status.UNAVAILABLE,
      message: expect.stringMatching(/model text_encoder on 127\.0\.0\.1:\d+: /),
    });
  });
});
