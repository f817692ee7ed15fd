import { z } from 'zod';
import { toFusionError } from '../../../services/kit/errors.ts';
import type { Probe } from './readiness-probes.ts';
import { type Route, route } from './route.ts';

/** How long a dependency may take to answer before it counts as unavailable. */
const probeMilliseconds = 2000;
/** Minimum interval between checks of the dependencies, since anyone may call these routes. */
const freshMilliseconds = 1000;

export const health = z.strictObject({ status: z.literal('ok') });

export const readiness = z.strictObject({
  status: z.enum(['ready', 'not_ready']),
  checks: z.record(z.string(), z.string()).describe('For each part: ok, or the kind of failure.'),
});

/** Liveness of this process, and readiness of its dependencies. */
export function healthRoutes(probes: Record<string, Probe>, stopping: AbortSignal): Route[] {
  const check = shared(() => askAll(probes));
  return [
    alive('/healthz', 'health', 'Whether this process is alive.'),
    alive('/health', 'healthByOtherName', 'The same as /healthz, under the name that comparable servers use.'),
    route(
      {
        method: 'GET',
        path: '/readyz',
        name: 'readiness',
        summary: 'Whether videos can be made: the database, the storage and every stage respond.',
        answers: {
          200: { description: 'Every part responds.', schema: readiness },
          503: { description: 'Some part does not respond, or the process is stopping.', schema: readiness },
        },
      },
      async ({ reply }) => {
        const checks = { ...(await check()), ...(stopping.aborted && { gateway: 'stopping' }) };
        const isReady = Object.values(checks).every((state) => state === 'ok');
        return reply.code(isReady ? 200 : 503).send({ status: isReady ? 'ready' : 'not_ready', checks });
      },
    ),
  ];
}

function alive(path: string, name: string, summary: string): Route {
  return route(
    { method: 'GET', path, name, summary, answers: { 200: { description: 'It is alive.', schema: health } } },
    async () => ({ status: 'ok' }),
  );
}

async function askAll(probes: Record<string, Probe>): Promise<Record<string, string>> {
  return Object.fromEntries(
    await Promise.all(Object.entries(probes).map(async ([name, probe]) => [name, await ask(probe)])),
  );
}

/** `ok`, or the name of the status code. Anyone can read it, so it has no details. */
async function ask(probe: Probe): Promise<string> {
  const late = new AbortController();
  const timeout = new Promise<string>((resolve) => {
    setTimeout(() => {
      late.abort();
      resolve('timeout');
    }, probeMilliseconds).unref();
  });
  const answer = probe(late.signal).then(
    () => 'ok',
    (error: unknown) => toFusionError(error).codeName.toLowerCase(),
  );
  return Promise.race([answer, timeout]);
}

/** Runs `work` once at a time; calls during the run or shortly after share its result. */
function shared<T>(work: () => Promise<T>): () => Promise<T> {
  let latest: { promise: Promise<T>; until: number } | undefined;
  return () => {
    if (!latest || latest.until < performance.now()) {
      const promise = work();
      latest = { promise, until: Number.POSITIVE_INFINITY };
      const current = latest;
      promise.finally(() => (current.until = performance.now() + freshMilliseconds)).catch(() => {});
    }
    return latest.promise;
  };
}
