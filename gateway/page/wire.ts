/** Responses of the HTTP API: the gateway's own types, from the declarations that the build generates. */
import type { PresetObject } from '../../dist/gateway/api/http/presets.d.ts';
import type { VideoList, VideoObject } from '../../dist/gateway/api/http/video-object.d.ts';

export type Video = VideoObject;
export type VideoPage = VideoList;
export type Variant = Video['files'][number]['variant'];
export type Preset = PresetObject;
export type Presets = readonly [Preset, ...Preset[]];
export type FrameRate = Preset['frame_rates'][number];
export type PlannedStage = FrameRate['stages'][number];
export type Stage = PlannedStage['stage'];
export type VideoOption = Preset['options'][number];
