import type { ServiceImplementation } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import {
  type CreateVideoRequest,
  type ListUsageRequest,
  type ListVideosRequest,
  UsageGrouping,
  VideoServiceDefinition,
} from '../../proto/gen/fusionframes/v1/video.ts';
import { choices, FusionError, invalidField } from '../../services/kit/errors.ts';
import { type Service, service } from '../../services/kit/serve.ts';
import { wireJobStates } from '../../services/pipeline/job-states.ts';
import { wireName } from '../../services/pipeline/options.ts';
import { type UsageGroupName, usageGroups, wireUsageGroups } from '../../services/pipeline/usage-groups.ts';
import { countKeyframes } from '../jobs/count-keyframes.ts';
import type { JobState, NewJob } from '../jobs/job.ts';
import type { JobFilter } from '../jobs/store/read-jobs.ts';
import type { VideoJobs } from '../jobs/video-jobs.ts';
import type { ApiKeys } from '../keys/api-keys.ts';
import { authenticateCalls, callerOf } from '../keys/authenticate-calls.ts';
import type { Caller } from '../keys/caller.ts';
import type { CallsOfKeys } from '../keys/calls-of-keys.ts';
import { parseModelId } from '../models/model-route.ts';
import { checkBatch, clientIdsOf, inBatch, ofBatch } from './batch.ts';
import { downloadVideo } from './download-video.ts';
import { checkMetadata, checkText, checkTime } from './job-options.ts';
import { listModels } from './list-models.ts';
import { type NewJobContext, requestedJob } from './new-job.ts';
import { newFinish, newRemix } from './new-remix.ts';
import type { Readiness } from './readiness.ts';
import { defaultUsageGroups, maxUsageGroups, toUsageQuery } from './usage-request.ts';
import { toUsageGroup, toVideo } from './video-message.ts';

const maxPageSize = 100;
const defaultPageSize = 20;

export interface VideoServiceContext {
  jobs: VideoJobs;
  keys: ApiKeys;
  calls: CallsOfKeys;
  newJobs: NewJobContext;
  readiness: Readiness;
}

/** `VideoService` over gRPC. */
export function videoService({ jobs, keys, calls, newJobs, readiness }: VideoServiceContext): Service {
  const { models } = newJobs;
  const implementation: ServiceImplementation<VideoServiceDefinition> = {
    async createVideo(request: CreateVideoRequest, context) {
      const caller = callerOf(context, 'create');
      const given = await countKeyframes(request.keyframes, jobs, caller, context.signal);
      const { job } = await jobs.create(requestedJob(request, newJobs, given), caller, context.signal);
      return { video: toVideo(job, models) };
    },

    async createVideos({ videos, clientId }, context) {
      const caller = callerOf(context, 'create');
      const idOf = clientIdsOf(clientId);
      const named = (error: unknown, index: number) => inBatch(error, index, clientId);
      const wanted: NewJob[] = [];
      for (const [index, request] of checkBatch(videos).entries()) {
        try {
          requireNoClientId(request, clientId);
          const given = await countKeyframes(request.keyframes, jobs, caller, context.signal);
          const job = requestedJob({ ...request, clientId: request.clientId || idOf(index) }, newJobs, given);
          wanted.push(clientId === '' ? job : ofBatch(job, index, videos.length, clientId));
        } catch (error) {
          throw named(error, index);
        }
      }
      const created = await jobs.createAll(wanted, caller, context.signal, named);
      return { videos: created.map(({ job }) => toVideo(job, models)) };
    },

    async finishVideo(request, context) {
      const caller = callerOf(context, 'create');
      const draft = await jobs.get(request.id, caller);
      const { metadata } = request;
      const given = { ...request, metadata: metadata.size > 0 ? metadata : new Map(Object.entries(draft.metadata)) };
      const { job } = await jobs.create(newFinish(draft, given, newJobs), caller, context.signal);
      return { video: toVideo(job, models) };
    },

    async remixVideo(request, context) {
      const caller = callerOf(context, 'create');
      const original = await jobs.get(request.id, caller);
      const { job } = await jobs.create(newRemix(original, request, newJobs), caller, context.signal);
      return { video: toVideo(job, models) };
    },

    async getVideo({ id }, context) {
      return { video: toVideo(await jobs.get(id, callerOf(context, 'read')), models) };
    },

    async listVideos(request: ListVideosRequest, context) {
      const caller = callerOf(context, 'read');
      const limit = readPageSize(request, maxPageSize, defaultPageSize);
      const before = await readPageToken(request, jobs, caller);
      // One more than requested shows whether there is another page.
      const found = await jobs.list({ limit: limit + 1, before, filter: toFilter(request) }, caller);
      const page = found.slice(0, limit);
      return {
        videos: page.map((job) => toVideo(job, models)),
        nextPageToken: found.length > limit ? page.at(-1)!.id : '',
      };
    },

    async listUsage(request: ListUsageRequest, context) {
      const caller = callerOf(context, 'read');
      const limit = readPageSize(request, maxUsageGroups, defaultUsageGroups);
      const after = request.pageToken === '' ? undefined : checkText('page_token', request.pageToken).slice(1);
      const query = toUsageQuery({ groupBy: readGrouping(request), from: request.from, to: request.to, after, limit });
      const found = await jobs.usage({ ...query, limit: limit + 1 }, caller);
      const page = found.slice(0, limit);
      return {
        groups: page.map(toUsageGroup),
        // A group may be called ''.
        nextPageToken: found.length > limit ? `.${page.at(-1)!.group}` : '',
      };
    },

    async cancelVideo({ id }, context) {
      return { video: toVideo(await jobs.cancel(id, callerOf(context, 'create')), models) };
    },

    async deleteVideo({ id }, context) {
      await jobs.delete(id, callerOf(context, 'create'));
      return {};
    },

    async *watchVideo({ id, resumeToken }, context) {
      const caller = callerOf(context, 'read');
      const after = resumeToken === '' ? (await jobs.get(id, caller)).revision - 1 : readResumeToken(resumeToken);
      for await (const { number, job } of jobs.watch(id, after, caller, context.signal)) {
        yield { video: toVideo(job, models), resumeToken: String(number) };
      }
    },

    async *downloadVideo(request, context) {
      yield* downloadVideo(jobs, request, callerOf(context, 'read'));
    },

    async listModels(_, context) {
      const isAdmin = callerOf(context, 'read').scopes.includes('admin');
      const [state, loads] = await Promise.all([readiness.check(), isAdmin ? jobs.modelLoads() : new Map()]);
      return {
        models: listModels(models, state, loads).map(({ isDraining, isReady, lora, ...model }) => ({
          ...model,
          lora: [...lora],
          draining: isDraining,
          ready: isReady,
        })),
      };
    },
  };
  return service(VideoServiceDefinition, implementation, authenticateCalls(keys, calls));
}

/** Throws INVALID_ARGUMENT for a client id in a batch that has one itself. */
function requireNoClientId(request: CreateVideoRequest, ofBatch: string): void {
  if (ofBatch !== '' && request.clientId !== '') {
    throw invalidField('client_id', request.clientId, 'empty in a batch with a `client_id`');
  }
}

function toFilter({ states, model, metadata, createdAfter, createdBefore }: ListVideosRequest): JobFilter {
  const names = states.map((state) => {
    const name = wireName(wireJobStates, state);
    if (!name) {
      throw invalidField('states', state, choices(Object.keys(wireJobStates)));
    }
    return name as JobState;
  });
  return {
    states: names.length > 0 ? names : undefined,
    model: model === '' ? undefined : parseModelId(model),
    metadata: metadata.size > 0 ? checkMetadata(metadata) : undefined,
    createdAfter: checkTime('created_after', createdAfter),
    createdBefore: checkTime('created_before', createdBefore),
  };
}

function readPageSize({ pageSize }: { pageSize: number }, max: number, otherwise: number): number {
  if (pageSize > max) {
    throw invalidField('page_size', pageSize, `a whole number from 1 to ${max}, or 0 for ${otherwise}`);
  }
  return pageSize || otherwise;
}

function readGrouping({ groupBy }: ListUsageRequest): UsageGroupName {
  const wire = groupBy === UsageGrouping.USAGE_GROUPING_UNSPECIFIED ? UsageGrouping.USAGE_GROUPING_KEY : groupBy;
  const name = usageGroups.find((each) => wireUsageGroups[each] === wire);
  if (!name) {
    throw invalidField('group_by', groupBy, choices(usageGroups));
  }
  return name;
}

/** The position in the list of the previous page's last job. */
async function readPageToken({ pageToken }: ListVideosRequest, jobs: VideoJobs, caller: Caller) {
  try {
    return pageToken === '' ? undefined : await jobs.sequence(pageToken, caller);
  } catch (error) {
    throw error instanceof FusionError && error.code === Status.NOT_FOUND
      ? invalidField('page_token', pageToken, 'the next_page_token of the previous response')
      : error;
  }
}

function readResumeToken(token: string): number {
  if (!/^\d{1,15}$/.test(token)) {
    throw invalidField('resume_token', token, 'a resume_token that watching this job returned');
  }
  return Number(token);
}
