import { z } from 'zod';
import { usageGroups } from '../../../services/pipeline/usage-groups.ts';
import { stageSecondsObject } from './stage-seconds-object.ts';

export const usageList = z
  .strictObject({
    object: z.literal('list'),
    group_by: z.enum(usageGroups),
    from: z.int().describe('Seconds since 1970.'),
    to: z.int(),
    data: z.array(
      z.strictObject({
        object: z.literal('usage'),
        group: z
          .string()
          .describe('Id of the key (empty: without a key), name of the preset (empty: not recorded), or day.'),
        name: z.string().nullable().describe('Name of the key.'),
        completed: z.int().min(0).describe('Finished videos.'),
        failed: z.int().min(0),
        cancelled: z.int().min(0),
        frames: z.int().min(0).describe('Frames of the finished videos.'),
        pixels: z.number().min(0).describe('Pixels of these frames.'),
        seconds: z.number().min(0).describe('Time in the stages, also of videos that failed.'),
        stage_seconds: stageSecondsObject,
        reused_stages: z
          .int()
          .min(0)
          .describe('Stages that did not run: finished by an earlier attempt, or with the result of another video.'),
      }),
    ),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
    has_more: z.boolean(),
  })
  .describe('Usage of ended videos, including deleted ones.');

export type UsageList = z.infer<typeof usageList>;
export type UsageGroupObject = UsageList['data'][number];
