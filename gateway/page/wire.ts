/** Responses of the HTTP API: the gateway's own types, from the declarations that the build generates. */
import type {
  AdminActionList,
  AdminFailureList,
  AdminGateway,
  AdminKey,
  AdminKeyList,
  AdminQueue,
  AdminVideo,
  AdminVideoList,
  CreatedKey,
} from '../../dist/gateway/api/http/admin/admin-objects.d.ts';
import type { PresetObject } from '../../dist/gateway/api/http/presets.d.ts';
import type { UsageGroupObject } from '../../dist/gateway/api/http/usage-object.d.ts';
import type { VideoList, VideoObject } from '../../dist/gateway/api/http/video-object.d.ts';

export type Video = VideoObject;
export type VideoPage = VideoList;
export type Variant = Video['files'][number]['variant'];
/** `given_keyframes` is null where the gateway's release takes none. */
export type Preset = Omit<PresetObject, 'given_keyframes'> & {
  given_keyframes: PresetObject['given_keyframes'] | null;
};
export type Presets = readonly [Preset, ...Preset[]];
export type FrameRate = Preset['frame_rates'][number];
export type PlannedStage = FrameRate['stages'][number];
export type Stage = PlannedStage['stage'];
export type VideoOption = Preset['options'][number];

export type Gateway = AdminGateway;
export type Line = AdminQueue['data'][number];
export type OperatedVideo = AdminVideo;
export type OperatedVideoPage = AdminVideoList;
export type Key = AdminKey;
export type KeyPage = AdminKeyList;
export type { CreatedKey };
export type Failure = AdminFailureList['data'][number];
export type Action = AdminActionList['data'][number];
export type UsageGroup = UsageGroupObject;
export type ListOf<T> = { data: T[] };
