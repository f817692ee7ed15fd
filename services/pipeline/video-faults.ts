import type { ErrorReason } from '../kit/error-reasons.ts';

/** Why videos fail. A failure of any other kind has the name of its status. */
export const videoFaults = {
  DEADLINE_MISSED: 'its `deadline` passed',
  DISK_FULL: 'there was no space left for its files',
  INVALID_RESPONSE: 'a stage sent something else than its contract says',
  JOB_CRASHES_GATEWAYS: 'every gateway that worked on it crashed',
  MODEL_CHANGED: 'its model was replaced again and again while it was made',
  MODEL_MISMATCH: "the inference server's model is not the one of the preset",
  MODEL_UNUSABLE: 'the inference server could not load its model',
  MODERATION_UNAVAILABLE: 'the moderation service did not answer, and videos must be checked',
  NEWER_SETTINGS: 'only a newer release knows its settings',
  NO_PROGRESS: 'a stage stood still',
  NO_ROUTE: 'no gateway has had a route to its model',
  PREDICTION_NOT_FINITE: 'the network returned numbers that are not finite',
  RESULT_LOST: 'a stored result of one of its stages is gone or damaged',
  SIGNING_FAILED: 'it could not be signed',
  STAGE_NOT_SERVED: 'no replica served the stage in time',
  STORAGE_REFUSED: 'the object store refused access',
  STORAGE_UNAVAILABLE: 'the object store did not answer',
  VIDEO_REFUSED: 'the moderation service refused its frames',
} as const satisfies Partial<Record<ErrorReason, string>>;
