import { request, requestJson } from '../api/request.ts';
import { videoPath } from '../api/videos.ts';
import type {
  Action,
  CreatedKey,
  Failure,
  Gateway,
  Key,
  KeyPage,
  Line,
  ListOf,
  OperatedVideo,
  OperatedVideoPage,
  UsageGroup,
} from '../wire.ts';

/** The parts of an operation's body in the OpenAPI document that are read here. */
interface Operation {
  requestBody: { content: { 'application/json': { schema: { properties: Record<string, { default?: unknown }> } } } };
}

export async function listGateways(): Promise<Gateway[]> {
  return (await requestJson<ListOf<Gateway>>('v1/admin/gateways')).data;
}

export async function setMode(name: string, verb: 'pause' | 'drain' | 'resume'): Promise<void> {
  await request(`v1/admin/gateways/${encodeURIComponent(name)}/${verb}`, { method: 'POST' });
}

export async function listLines(): Promise<Line[]> {
  return (await requestJson<ListOf<Line>>('v1/admin/queue')).data;
}

/** @param key only its videos; empty: those without a key */
export function listVideosOfAll(status: 'queued' | 'in_progress', key?: string): Promise<OperatedVideoPage> {
  return requestJson(`v1/admin/videos?status=${status}${key === undefined ? '' : `&key=${key || 'none'}`}`);
}

export function setPriority(id: string, priority: string): Promise<OperatedVideo> {
  return post(`v1/admin/${videoPath(id).slice('v1/'.length)}/priority`, { priority });
}

export async function listFailures(): Promise<Failure[]> {
  return (await requestJson<ListOf<Failure>>('v1/admin/failures')).data;
}

export async function listActions(): Promise<Action[]> {
  return (await requestJson<ListOf<Action>>('v1/admin/actions?limit=20')).data;
}

export function listKeys(revoked: boolean, limit: number): Promise<KeyPage> {
  return requestJson(`v1/admin/keys?revoked=${revoked}&limit=${limit}`);
}

/** Usage of each key in the current month. */
export async function usageOfKeys(): Promise<ReadonlyMap<string, UsageGroup>> {
  const { data } = await requestJson<ListOf<UsageGroup>>('v1/usage?group_by=key&limit=1000');
  return new Map(data.map((usage) => [usage.group, usage]));
}

/** Values of a new key unless others are given, by field. */
export async function keyDefaults(): Promise<Record<string, unknown>> {
  const { paths } = await requestJson<{ paths: Record<'/v1/admin/keys', { post: Operation }> }>('openapi.json');
  const { properties } = paths['/v1/admin/keys'].post.requestBody.content['application/json'].schema;
  return Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, schema.default]));
}

export function createKey(fields: object): Promise<CreatedKey> {
  return post('v1/admin/keys', fields);
}

export function updateKey(id: string, fields: object): Promise<Key> {
  return post(keyPath(id), fields);
}

export async function revokeKey(id: string, keepJobs: boolean): Promise<void> {
  await request(`${keyPath(id)}/revoke?keep_jobs=${keepJobs}`, { method: 'POST' });
}

function keyPath(id: string): string {
  return `v1/admin/keys/${encodeURIComponent(id)}`;
}

function post<T>(path: string, fields: object): Promise<T> {
  const headers = { 'content-type': 'application/json' };
  return requestJson(path, { method: 'POST', headers, body: JSON.stringify(fields) });
}
