import { z } from 'zod';
import { InputReference } from '../../../proto/gen/fusionframes/v1/video.ts';
import { maxPictureBytes, pictureMediaTypes } from '../../../services/kit/pictures.ts';
import { tryParse } from '../../../services/kit/schema.ts';
import { wholeNumber } from '../../../services/kit/values.ts';

const mustBe =
  'a picture file, a data URL of one in base64 (other URLs are not fetched), an object with such an `image_url`, or an object of `video_id` and `frame`';

const frame = wholeNumber(0, 999_999);

const dataUrl = z.string().describe('A data URL of a picture, in base64: `data:image/png;base64,...`.');

const source = z.union(
  [
    z
      .instanceof(Uint8Array)
      .meta({ type: 'string', format: 'binary' })
      .describe(`A file, in forms only: ${pictureMediaTypes.join(', ')}; at most ${maxPictureBytes} bytes.`),
    dataUrl,
    z.strictObject({ image_url: dataUrl }),
    z.strictObject({
      video_id: z.string().describe('An earlier video of the same key.'),
      frame: z
        .union([z.int(), z.string()])
        .nullish()
        .describe('Which of its frames, from 0. Default: the picture that it began with itself.'),
    }),
  ],
  mustBe,
);

/** A picture in a request, as the contract has it: a file, or a frame of an earlier video. */
export const inputReferenceField = source
  .transform((given, context): InputReference => {
    const fault = (message: string, path: string[] = [], input: unknown = given) => {
      context.addIssue({ code: 'custom', path, message, input });
      return z.NEVER;
    };
    if (given instanceof Uint8Array || typeof given === 'string' || 'image_url' in given) {
      const file = given instanceof Uint8Array ? given : decodeUrl(typeof given === 'string' ? given : given.image_url);
      return file ? { source: { $case: 'file', value: file } } : fault(mustBe);
    }
    const parsed = tryParse(frame.given.nullish(), given.frame);
    return 'value' in parsed
      ? InputReference.fromPartial({
          source: { $case: 'frame', value: { videoId: given.video_id, frame: parsed.value ?? undefined } },
        })
      : fault(frame.mustBe, ['frame'], given.frame);
  })
  .describe(
    'The picture that the video begins with, for models that continue one (see /v1/presets). It is scaled to the size of the video, and cropped to its centre if its shape differs.',
  );

/** The bytes in a data URL; undefined if it is something else. */
export function decodeUrl(url: string): Uint8Array | undefined {
  const comma = url.indexOf(',');
  const base64 = url.slice(comma + 1);
  const isData = comma > 0 && /^data:[^,]{0,100};base64$/i.test(url.slice(0, comma));
  return isData && /^[A-Za-z0-9+/]*={0,2}$/.test(base64) ? Buffer.from(base64, 'base64') : undefined;
}
