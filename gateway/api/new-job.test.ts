import { expect, test } from '@jest/globals';
import { type CreateVideoRequest, VideoServiceDefinition } from '../../proto/gen/fusionframes/v1/video.ts';
import { withStrictText } from '../../services/kit/strict-text.ts';
import { loadPreset } from '../../services/pipeline/preset.ts';
import { newJob } from './new-job.ts';

const { requestType } = withStrictText(VideoServiceDefinition).methods.createVideo;

/** A message as a gRPC client may send it, with one byte that is not UTF-8 in place of `~`. */
function received(request: Partial<CreateVideoRequest>): CreateVideoRequest {
  const bytes = requestType.encode(requestType.fromPartial(request)).finish();
  return requestType.decode(bytes.map((byte) => (byte === 0x7e ? 0xff : byte)));
}

test.each([
  [{ settings: { prompt: 'a red ~ circle' } }, 'prompt'],
  [{ settings: { prompt: 'a red circle', negativePrompt: '~' } }, 'negative_prompt'],
  [{ settings: { prompt: 'a red circle' }, clientId: 'mine~' }, 'client_id'],
])('text that is not UTF-8 is refused: %j', (request, field) => {
  const context = { preset: loadPreset('nano'), warnings: [], localWebhooks: false };
  const create = () => newJob(received(request as Partial<CreateVideoRequest>), context);
  expect(create).toThrow(expect.objectContaining({ codeName: 'INVALID_ARGUMENT', field }));
});

test('text that is UTF-8 arrives as it was sent', () => {
  const prompt = '\ufeffein großer 🦊';
  expect(received({ settings: { prompt } as never }).settings?.prompt).toBe(prompt);
});
