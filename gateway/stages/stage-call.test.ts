import { expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { DecoderServiceDefinition } from '../../proto/gen/fusionframes/v1/decoder.ts';
import { ModelServiceDefinition } from '../../proto/gen/fusionframes/v1/model.ts';
import { DataType } from '../../proto/gen/fusionframes/v1/tensor.ts';
import { connect } from '../../services/kit/channel.ts';
import { FusionError } from '../../services/kit/errors.ts';
import { createLogger } from '../../services/kit/log.ts';
import { serve, service } from '../../services/kit/serve.ts';
import { tensor } from '../../services/pipeline/tensor.ts';
import { toChunks } from '../../services/pipeline/tensor-chunks.ts';
import { decode } from './decoder.ts';
import { describeModel } from './describe-model.ts';

type Frames = AsyncGenerator<{
  index: number;
  total: number;
  rgb?: ReturnType<typeof toChunks> extends Generator<infer C> ? C : never;
}>;

const latents = tensor('float32', [4, 4, 96, 96], new Float32Array(4 * 4 * 96 * 96));

/** Frames of 768×768 pixels, of which each needs two messages. */
async function* frames(from: number, to: number): Frames {
  for (let index = from; index < to; index++) {
    const pixels = new Uint8Array(768 * 768 * 3).fill(index + 1);
    for (const rgb of toChunks(tensor('uint8', [768, 768, 3], pixels))) {
      yield { index, total: 4, rgb };
    }
  }
}

/** What a client receives from a decoder that answers its calls with `answers`, one after the other. */
async function decodeWith(...answers: (() => Frames)[]): Promise<number[]> {
  let call = 0;
  const server = await serve({
    address: '127.0.0.1:0',
    log: createLogger('test', 'silent'),
    services: [
      service(DecoderServiceDefinition, {
        async *decode(requests) {
          for await (const _ of requests) {
          }
          yield* answers[Math.min(call++, answers.length - 1)]!();
        },
      }),
    ],
  });
  const { client, connected, close } = connect(DecoderServiceDefinition, server.address);
  const { client: models, close: closeModels } = connect(ModelServiceDefinition, server.address);
  const stage = { client, models, connected, name: 'decoder', address: server.address, progressTimeoutSeconds: 30 };
  try {
    const received: number[] = [];
    for await (const frame of decode(stage, latents, { priority: 0, model: '' }, new AbortController().signal)) {
      expect(frame).toHaveLength(768 * 768 * 3);
      expect(frame.every((value) => value === frame[0])).toBe(true);
      received.push(frame[0]!);
    }
    expect(call).toBe(answers.length);
    return received;
  } finally {
    close();
    closeModels();
    await server.stop();
  }
}

test('frames of several messages arrive whole and in order', async () => {
  expect(await decodeWith(() => frames(0, 4))).toEqual([1, 2, 3, 4]);
});

test.each([Status.UNAVAILABLE, Status.RESOURCE_EXHAUSTED])(
  'a stream that breaks off with code %s is not tried again here: attempts are the job’s',
  async (code) => {
    async function* failing(): Frames {
      yield* frames(0, 1);
      throw new FusionError(code, 'the replica is gone');
    }
    await expect(decodeWith(failing)).rejects.toMatchObject({ code });
  },
);

test.each<[string, () => Frames, RegExp]>([
  ['a frame that is missing', () => frames(1, 4), /answered frame 1 after 0 frames/],
  [
    'a frame without pixels',
    async function* () {
      yield { index: 0, total: 4 };
    },
    /answered frame 0 without pixels/,
  ],
  [
    'frames of another size',
    async function* () {
      const header = { dataType: DataType.DATA_TYPE_UINT8, shape: [8n, 8n, 3n] };
      yield { index: 0, total: 4, rgb: { header, data: new Uint8Array(192) } };
    },
    /answered a tensor that must have shape \[768,768,3\] \(got \[8,8,3\]\); does it serve another preset\?/,
  ],
])('%s is the stage’s fault, not the caller’s', async (_, answer, message) => {
  const error = await decodeWith(answer).catch((thrown) => thrown);
  expect(error).toMatchObject({ code: Status.INTERNAL, reason: 'INVALID_RESPONSE' });
  expect(error.message).toMatch(message);
});

test('a stage that does not even name its model in time counts as unavailable, so that its job is retried', async () => {
  const late = async () => {
    throw new FusionError(Status.DEADLINE_EXCEEDED, 'too late');
  };
  const services = [service(ModelServiceDefinition, { describeModel: late })];
  const server = await serve({ address: '127.0.0.1:0', log: createLogger('test', 'silent'), services });
  const { client: models, connected, close } = connect(ModelServiceDefinition, server.address);
  const stage = { models, connected, name: 'decoder', address: server.address, progressTimeoutSeconds: 30 };
  try {
    const named = describeModel(stage as Parameters<typeof describeModel>[0], new AbortController().signal);
    await expect(named).rejects.toMatchObject({
      code: Status.UNAVAILABLE,
      message: expect.stringContaining('too late'),
    });
  } finally {
    close();
    await server.stop();
  }
});
