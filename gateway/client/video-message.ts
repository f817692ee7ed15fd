import {
  CreateVideoRequest,
  type Lora,
  type Model as ModelMessage,
  type UsageGroup as UsageGroupMessage,
  type Usage as UsageMessage,
  type Video as VideoMessage,
  VideoSettings,
  type Webhook,
} from '../../proto/gen/fusionframes/v1/video.ts';
import { fieldName } from '../../services/kit/field-name.ts';
import { wireJobFiles } from '../../services/pipeline/job-files.ts';
import { wireJobStates } from '../../services/pipeline/job-states.ts';
import {
  jsonValue,
  listOptions,
  mapOptions,
  type Options,
  toMessage,
  valueAt,
  wireName,
} from '../../services/pipeline/options.ts';
import { stageOfWire } from '../../services/pipeline/stages.ts';
import { videoOptions } from '../../services/pipeline/video-options.ts';
import { requireEvents, requireFrame, requireTimes, wireOf } from './check-options.ts';
import type { Model, NamedFile, Settings, Usage, UsageGroup, Video, VideoState } from './video.ts';
import type { FinishVideo, NewVideo } from './video-client.ts';

/** The contract's request. */
export function toCreateMessage(video: NewVideo, clientId: string): CreateVideoRequest {
  const { model = '', lora = [], priority, previews = false, inputReference } = video;
  const { givenKeyframes, webhook, deadline } = video;
  requireTimes({ deadline });
  const settings = toSettingsMessage(video);
  return CreateVideoRequest.fromPartial({
    settings,
    clientId,
    model,
    lora: [...lora],
    ...(priority !== undefined && { priority }),
    previews,
    metadata: toLabels(video.metadata),
    ...(webhook && { webhook: toWebhookMessage(webhook) }),
    ...(deadline && { deadline }),
    ...(givenKeyframes && { keyframes: toKeyframes(givenKeyframes) }),
    ...(inputReference && { inputReference: { source: toSource(inputReference) } }),
  });
}

function toKeyframes(given: NonNullable<NewVideo['givenKeyframes']>) {
  return 'videoId' in given ? given : { files: [...given] };
}

function toSource(picture: NonNullable<NewVideo['inputReference']>) {
  if (picture instanceof Uint8Array) {
    return { $case: 'file', value: picture } as const;
  }
  requireFrame('input_reference.frame', picture.frame);
  return { $case: 'frame', value: picture } as const;
}

export function toLabels(metadata: NewVideo['metadata']): Map<string, string> {
  return new Map(Object.entries(metadata ?? {}));
}

export function toWebhookMessage(webhook: NewVideo['webhook']): Webhook | undefined {
  requireEvents(webhook?.events);
  return webhook && { ...webhook, events: [...(webhook.events ?? [])] };
}

/** The contract's settings of a video that goes on from another one's keyframes. */
export function toFinishMessage(settings: FinishVideo): Partial<VideoSettings> {
  const { frameRate, format } = videoOptions;
  return toKnownMessage({ frameRate, format }, settings);
}

/** The contract's settings. */
export function toSettingsMessage(video: NewVideo): VideoSettings {
  return VideoSettings.fromPartial(toKnownMessage(videoOptions, video));
}

/** Throws INVALID_ARGUMENT for an unknown name, which the message could not hold. */
function toKnownMessage(options: Options, values: object): object {
  for (const { option, path } of listOptions(options)) {
    const value = valueAt(values, path);
    if (option.wire && value !== undefined) {
      wireOf(fieldName(path), value as string, option.wire);
    }
  }
  return toMessage(options, values);
}

/** A video as callers see it. */
export function fromVideoMessage(message: VideoMessage): Video {
  const { id, clientId, frames, priority, attempt, warnings, failure } = message;
  return {
    id,
    model: message.model || null,
    state: (wireName(wireJobStates, message.state) as VideoState | undefined) ?? 'unknown',
    settings: settingsOf(message.settings),
    idempotencyKey: clientId,
    frames,
    givenKeyframes: message.givenKeyframes || null,
    lora: fromLoras(message.lora),
    priority,
    attempt,
    stages: message.stages.map(({ stage, step, total, seconds, waiting, reused }) => {
      return { stage: stageOfWire(stage) ?? 'unknown', step, total, seconds, waiting, reused };
    }),
    files: message.files.map(({ file, mediaType, bytes, sha256 }) => ({
      file: (wireName(wireJobFiles, file) as NamedFile | undefined) ?? 'unknown',
      mediaType,
      bytes: Number(bytes),
      sha256,
    })),
    pauses: message.pauses,
    warnings,
    metadata: Object.fromEntries(message.metadata),
    remixedFrom: message.remixedFrom || null,
    usage: message.usage ? fromUsage(message.usage) : null,
    failure: failure
      ? {
          code: failure.code,
          stage: failure.stage === 0 ? null : (stageOfWire(failure.stage) ?? 'unknown'),
          message: failure.reason,
          reason: failure.errorReason || failure.code,
          attempt: failure.attempt,
        }
      : null,
    queue: message.queue
      ? {
          position: message.queue.position,
          startsAt: message.queue.startsAt ?? null,
          readyAt: message.queue.readyAt ?? null,
        }
      : null,
    deadline: message.deadline ?? null,
    createdAt: message.createdAt ?? null,
    startedAt: message.startedAt ?? null,
    finishedAt: message.finishedAt ?? null,
    expiresAt: message.expiresAt ?? null,
  };
}

export function fromUsageGroup({ usage, ...group }: UsageGroupMessage): UsageGroup {
  return { ...group, ...fromUsage(usage!), frames: Number(usage!.frames) };
}

function fromUsage({ seconds, stages, reusedStages, pixels }: UsageMessage): Usage {
  const stageSeconds = Object.fromEntries(stages.map((each) => [stageOfWire(each.stage) ?? 'unknown', each.seconds]));
  return { seconds, stageSeconds, reusedStages: Number(reusedStages), pixels: Number(pixels) };
}

export function fromModelMessage({ id, description, created, share, lora, ready, draining }: ModelMessage): Model {
  return {
    id,
    description,
    createdAt: created ?? null,
    share,
    lora: fromLoras(lora),
    status: draining ? 'draining' : ready ? 'ready' : 'not-ready',
  };
}

function fromLoras(loras: readonly Lora[]): Model['lora'] {
  return loras.map(({ name, scale = 1 }) => ({ name, scale }));
}

/** Settings as JSON; `null` for values that only a newer gateway knows. */
function settingsOf(settings: VideoSettings | undefined): Settings {
  return mapOptions(videoOptions, ({ wire }, path) => {
    const value = valueAt(settings, path);
    return (wire ? wireName(wire, value) : jsonValue(value)) ?? null;
  }) as Settings;
}
