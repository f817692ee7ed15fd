import { z } from 'zod';
import type { GivenKeyframes } from '../../../proto/gen/fusionframes/v1/video.ts';
import { clipMediaTypes, maxPictureBytes, pictureMediaTypes } from '../../../services/kit/pictures.ts';
import { decodeUrl } from './input-reference.ts';

const mustBe =
  'a clip or a list of pictures: files in a form, or data URLs in base64 (other URLs are not fetched), or an object of `video_id`';

const file = z.union(
  [
    z.instanceof(Uint8Array).meta({ type: 'string', format: 'binary' }).describe('A file, in forms only.'),
    z.string().describe('A data URL of a file, in base64: `data:video/mp4;base64,...`.'),
  ],
  mustBe,
);

const earlier = z.strictObject({
  video_id: z.string().describe('An earlier video of the same key: the keyframes that it was given, in the same size.'),
});

/** Keyframes in a request, as the contract has them. */
export const keyframesField = z
  .union([file, z.array(file), earlier], mustBe)
  .transform((given, context): GivenKeyframes => {
    if (typeof given === 'object' && 'video_id' in given) {
      return { files: [], videoId: given.video_id };
    }
    const files = [given].flat().map((each) => (typeof each === 'string' ? decodeUrl(each) : each));
    if (!files.every((each) => each !== undefined)) {
      context.addIssue({ code: 'custom', message: mustBe, input: given });
      return z.NEVER;
    }
    return { files, videoId: '' };
  })
  .describe(
    `Keyframes to interpolate between, instead of those that the model makes: one clip (${clipMediaTypes.join(', ')}) whose ` +
      `frames they are, or 2 or more pictures (${pictureMediaTypes.join(', ')}); at most as many as the model has ` +
      `keyframes, and ${maxPictureBytes} bytes together. They are scaled to the size of the video, and cropped to their ` +
      'centre if their shape differs.',
  );
