import { z } from 'zod';
import type { VideoJobs } from '../../jobs/video-jobs.ts';
import { routeId } from '../../models/model-route.ts';
import type { Readiness, ReadinessState } from '../readiness.ts';
import { type Route, route } from './route.ts';

export const health = z.strictObject({ status: z.literal('ok') });

export const readinessAnswer = z.strictObject({
  status: z.enum(['ready', 'not_ready']),
  checks: z
    .record(z.string(), z.string())
    .describe(
      'For each part: ok, or the kind of failure. With several models, stages are named `model/stage`. `gateway` is present if it is paused, draining or stopping.',
    ),
});

export interface HealthRoutesContext {
  jobs: Pick<VideoJobs, 'mode'>;
  readiness: Readiness;
  stopping: AbortSignal;
}

/** Liveness of this process, and readiness of its dependencies. */
export function healthRoutes({ jobs, readiness, stopping }: HealthRoutesContext): Route[] {
  return [
    alive('/healthz', 'health', 'Whether this process is alive.'),
    alive('/health', 'healthByOtherName', 'The same as /healthz, under the name that comparable servers use.'),
    route(
      {
        method: 'GET',
        path: '/readyz',
        name: 'readiness',
        summary: 'Whether videos can be made: the database, the storage and, for some model, every stage respond.',
        answers: {
          200: { description: 'Videos of at least one model can be made.', schema: readinessAnswer },
          503: {
            description:
              'The database or storage does not respond, no model has all its stages, an operator drains this gateway, or the process is stopping.',
            schema: readinessAnswer,
          },
        },
      },
      async ({ reply }) => {
        const state = await readiness.check();
        const gateway = stopping.aborted ? 'stopping' : jobs.mode;
        // A paused gateway accepts videos, which another one makes, or itself after the pause.
        const isReady = gateway !== 'stopping' && gateway !== 'draining' && canMakeVideos(state);
        const checks = { ...checksOf(state), ...(gateway !== 'active' && { gateway }) };
        return reply.code(isReady ? 200 : 503).send({ status: isReady ? 'ready' : 'not_ready', checks });
      },
    ),
  ];
}

/** A model whose stages are down must not take the others' gateway with it. */
function canMakeVideos({ shared, routes }: ReadinessState): boolean {
  return (
    Object.values(shared).every((state) => state === 'ok') &&
    routes.some(({ route, isReady }) => isReady && !route.isDraining)
  );
}

function checksOf({ shared, routes }: ReadinessState): Record<string, string> {
  const stages = routes.flatMap(({ route, stages }) =>
    Object.entries(stages).map(([stage, state]) => [routes.length > 1 ? `${routeId(route)}/${stage}` : stage, state]),
  );
  return { ...shared, ...Object.fromEntries(stages) };
}

function alive(path: string, name: string, summary: string): Route {
  return route(
    { method: 'GET', path, name, summary, answers: { 200: { description: 'It is alive.', schema: health } } },
    async () => ({ status: 'ok' }),
  );
}
