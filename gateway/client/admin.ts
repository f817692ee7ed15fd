import type {
  AdminActionList,
  AdminFailureList,
  AdminQueue,
  AdminGateway as ApiGateway,
  AdminKey as ApiKeyObject,
} from '../api/http/admin/admin-objects.ts';
import type { Video } from './video.ts';

type CamelCase<S extends string> = S extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : S;

/** An object of the API with names in camel case, and times as dates. */
type FromApi<T> = {
  [K in keyof T as K extends 'object' ? never : CamelCase<K & string>]: K extends `${string}_at` | 'at' | 'mode_since'
    ? null extends T[K]
      ? Date | null
      : Date
    : T[K] extends (infer Item extends object)[]
      ? FromApi<Item>[]
      : T[K];
};

/** A gateway on the database. */
export type AdminGateway = FromApi<ApiGateway>;
/** A key with queued or running videos. */
export type QueueOfKey = FromApi<AdminQueue['data'][number]>;
/** An API key, without its secret. */
export type ApiKey = FromApi<ApiKeyObject>;
/** Failed videos with the same reason and model. */
export type FailureGroup = FromApi<AdminFailureList['data'][number]>;
/** An action of an operator. */
export type OperatorAction = FromApi<AdminActionList['data'][number]>;

/** A video, and what operators see of it. */
export interface AdminVideo {
  /** Id of its API key; empty: without one. */
  key: string;
  keyName: string;
  /** Name of the gateway that works on it. */
  gateway: string | null;
  /** When anything last changed. */
  changedAt: Date;
  /** The operator who last set its priority, and what it was before. */
  priorityBy: { key: string; before: number } | null;
  video: Video;
}

/** Settings of a key; 0 for a limit that it does not have. */
export type KeySettings = Pick<
  ApiKey,
  'scopes' | 'concurrentJobs' | 'queuedJobs' | 'requestsPerMinute' | 'maxSteps' | 'maxFrames' | 'maxPriority' | 'share'
> & {
  name: string;
  /** Such as `100-videos/day`. */
  budgets: readonly string[];
};

/** Converts an object of the API. What the creator of a record named, such as an action's details, keeps its names. */
export function fromApi<T extends object>({ object: _, ...fields }: T & { object?: string }): FromApi<T> {
  const converted = Object.entries(fields).map(([name, value]) => [camelCase(name), convert(name, value)]);
  return Object.fromEntries(converted) as FromApi<T>;
}

function convert(name: string, value: unknown): unknown {
  if (/(^|_)at$|_since$/.test(name)) {
    return value === null ? null : new Date(1000 * (value as number));
  }
  const isListOfObjects = Array.isArray(value) && typeof value[0] === 'object';
  return isListOfObjects ? value.map((each: object) => fromApi(each)) : value;
}

function camelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
