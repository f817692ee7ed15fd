import { afterAll, beforeAll, expect, test } from '@jest/globals';
import {
  type EncodeRequest,
  TextEncoderServiceDefinition,
  type TextEncoding,
} from '../../proto/gen/fusionframes/v1/text_encoder.ts';
import { type Connection, connect } from '../../services/kit/channel.ts';
import { fromWireTensor } from '../../services/pipeline/tensor-chunks.ts';
import { textEncoderStage } from '../../services/text-encoder/text-encoder-stage.ts';
import { type Backend, startBackend } from '../support/backend.ts';

let backend: Backend;
let connection: Connection<TextEncoderServiceDefinition>;
beforeAll(async () => {
  backend = await startBackend();
  connection = connect(TextEncoderServiceDefinition, await backend.start(textEncoderStage));
});
afterAll(async () => {
  connection.close();
  await backend.stop();
});

const encode = (request: Partial<EncodeRequest>) => connection.client.encode(request);

function read(encoding: TextEncoding | undefined) {
  const context = fromWireTensor('context', encoding?.context, 'float32', 2);
  const { data: mask } = fromWireTensor('mask', encoding?.contextMask, 'bool', 1);
  return { shape: context.shape, context: context.data, mask };
}

test('a prompt becomes the context of its words, followed by zeros', async () => {
  const { contextTokens, network } = backend.preset.textEncoder;
  const prompt = 'a large red circle moving left on a navy background';
  const response = await encode({ prompt });
  const { shape, context, mask } = read(response.prompt);
  const words = prompt.split(' ').length + 1;
  const size = network.context_dim;
  expect(shape).toEqual([contextTokens, size]);
  expect([...mask]).toEqual(Array.from({ length: contextTokens as number }, (_, i) => (i < words ? 1 : 0)));
  expect(context.subarray(0, words * size).every((value) => value !== 0 && Number.isFinite(value))).toBe(true);
  expect(context.subarray(words * size).every((value) => value === 0)).toBe(true);
  expect(response.truncatedTokens).toBe(0);
});

test('prompts encoded together or alone give the same bytes, and other words give others', async () => {
  const prompts = ['red', 'blue', 'green', 'a small star'].map((prompt) => ({ prompt: `${prompt} moving up` }));
  const together = await Promise.all(prompts.map(encode));
  const another = connect(TextEncoderServiceDefinition, await backend.start(textEncoderStage));
  for (const [i, prompt] of prompts.entries()) {
    expect(await another.client.encode(prompt)).toEqual(together[i]);
  }
  another.close();
  const contexts = together.map(({ prompt }) => Buffer.from(prompt!.context!.data).toString('hex'));
  expect(new Set(contexts).size).toBe(prompts.length);
});

test('a negative prompt has its own context with the same mask', async () => {
  const response = await encode({ prompt: 'a red circle', negativePrompt: 'blue' });
  const [prompt, negative] = [read(response.prompt), read(response.negativePrompt)];
  expect(negative.shape).toEqual(prompt.shape);
  expect(negative.mask).toEqual(prompt.mask);
  expect(negative.context).not.toEqual(prompt.context);
});
