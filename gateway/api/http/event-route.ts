import { Readable } from 'node:stream';
import { z } from 'zod';
import { invalidField } from '../../../services/kit/errors.ts';
import { wholeNumber } from '../../../services/kit/values.ts';
import { isFinished } from '../../jobs/job.ts';
import type { VideoJobs } from '../../jobs/video-jobs.ts';
import type { ApiKeys } from '../../keys/api-keys.ts';
import type { Models } from '../../models/models.ts';
import { eventStream } from './event-stream.ts';
import { type Route, route } from './route.ts';
import { toVideoObject, videoId } from './video-object.ts';

const headers = z.object({
  'last-event-id': wholeNumber(0, 999_999_999)
    .given.optional()
    .describe('Number of the last event the caller received.'),
});

interface EventRouteContext {
  jobs: VideoJobs;
  keys: ApiKeys;
  models: Models;
  /** Aborts when the server begins to stop. */
  stopping: AbortSignal;
}

export function eventRoute({ jobs, keys, models, stopping }: EventRouteContext): Route {
  return route(
    {
      method: 'GET',
      path: '/v1/videos/{id}/events',
      name: 'streamVideoEvents',
      summary: 'Stream every change of a video until it ends, starting after Last-Event-ID.',
      scope: 'read',
      head: false,
      params: videoId,
      headers,
      answers: {
        200: {
          description:
            'Server-sent events: `id` is the number of the event, `event` its kind (state, stage, progress, preview), ' +
            '`data` the video after it. Without Last-Event-ID the stream starts with the latest event.',
          mediaTypes: ['text/event-stream'],
        },
        204: { description: 'The video has ended, and the caller has received its last event.' },
      },
    },
    async ({ params, headers, caller, reply, signal }) => {
      const job = await jobs.get(params.id, caller);
      const after = headers['last-event-id'] ?? job.revision - 1;
      if (after > job.revision) {
        throw invalidField('last-event-id', after, `the number of an event of this video, at most ${job.revision}`);
      }
      if (after === job.revision && isFinished(job)) {
        // Without this, a browser's EventSource would reconnect forever.
        return reply.code(204).send();
      }
      signal.throwIfAborted();
      const supervision = keys.supervise(caller);
      signal.addEventListener('abort', supervision.end, { once: true });
      const ended = AbortSignal.any([signal, stopping, supervision.signal]);
      const texts = eventStream(jobs.watch(job.id, after, caller, ended), (event) => toVideoObject(event.job, models));
      reply.headers({
        'content-type': 'text/event-stream; charset=utf-8',
        // A buffering proxy would delay events.
        'x-accel-buffering': 'no',
      });
      return reply.send(Readable.from(texts, { objectMode: false, highWaterMark: 1 }));
    },
  );
}
