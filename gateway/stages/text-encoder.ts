import type {
  EncodeRequest,
  EncodeResponse,
  TextEncoderServiceDefinition,
  TextEncoding,
} from '../../proto/gen/fusionframes/v1/text_encoder.ts';
import { invalidResponse, type Stage, watchedCall } from './stage-call.ts';

/** Encoded texts for the keyframe stage, and how much of them was cut. */
export type EncodedTexts = EncodeResponse & { prompt: TextEncoding };

/** Encodes the prompt and, if there is one, the negative prompt. */
export async function encodeTexts(
  stage: Stage<TextEncoderServiceDefinition>,
  texts: EncodeRequest,
  signal: AbortSignal,
): Promise<EncodedTexts> {
  const deadline = stage.progressTimeoutSeconds * 1000;
  const response = await watchedCall(stage, () => stage.client.encode(texts, { deadline, signal }), signal);
  if (!response.prompt || (texts.negativePrompt !== '' && !response.negativePrompt)) {
    throw invalidResponse(stage, 'without the encoding of a text that was given');
  }
  return { ...response, prompt: response.prompt };
}
