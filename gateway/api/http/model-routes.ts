import { z } from 'zod';
import type { VideoJobs } from '../../jobs/video-jobs.ts';
import type { Caller } from '../../keys/caller.ts';
import { type Models, noSuchModel } from '../../models/models.ts';
import { listModels, type ModelInfo } from '../list-models.ts';
import type { Readiness } from '../readiness.ts';
import { seconds } from './formats.ts';
import { mergedLoras } from './lora-fields.ts';
import { type Route, route } from './route.ts';

export const modelObject = z
  .strictObject({
    id: z.string().describe('The value of `model` in requests: `nano` or, for one version, `nano@2`.'),
    object: z.literal('model'),
    created: z
      .int()
      .describe('The day on which it was published, in seconds since 1970; 0 if its preset does not say.'),
    owned_by: z.string(),
    description: z.string(),
    status: z
      .enum(['ready', 'not_ready', 'draining'])
      .describe(
        'not_ready: a stage does not respond, and videos wait for it. draining: it takes no new videos and finishes the ones it has.',
      ),
    share: z
      .number()
      .min(0)
      .max(1)
      .describe(
        'For a version: its share of the new videos that name only the model. For a model: 1 unless it drains.',
      ),
    lora: mergedLoras.describe(
      "For a version: what was merged into its weights, which a request's `lora` may ask for.",
    ),
    jobs: z
      .strictObject({ queued: z.int().min(0), running: z.int().min(0) })
      .nullable()
      .describe('Videos that are queued and in progress; null for API keys without the scope admin.'),
  })
  .describe('A model, or one version of it.');

export type ModelObject = z.infer<typeof modelObject>;

export const modelList = z.strictObject({ object: z.literal('list'), data: z.array(modelObject) });

const modelParams = z.strictObject({ id: z.string().describe('Id of a model.') });

interface ModelRoutesContext {
  models: Models;
  jobs: VideoJobs;
  readiness: Readiness;
}

/** The models that a request may name, in the shape of OpenAI's API. */
export function modelRoutes({ models, jobs, readiness }: ModelRoutesContext): Route[] {
  const list = async (caller: Caller) => {
    const isAdmin = caller.scopes.includes('admin');
    const [state, loads] = await Promise.all([readiness.check(), isAdmin ? jobs.modelLoads() : new Map()]);
    return listModels(models, state, loads).map((model) => toModelObject(model, isAdmin));
  };
  return [
    route(
      {
        method: 'GET',
        path: '/v1/models',
        name: 'listModels',
        summary: 'List the models and their versions. The first is the default.',
        scope: 'read',
        answers: { 200: { description: 'The models.', schema: modelList } },
      },
      async ({ caller }) => ({ object: 'list', data: await list(caller) }),
    ),
    route(
      {
        method: 'GET',
        path: '/v1/models/{id}',
        name: 'getModel',
        summary: 'Get a model.',
        scope: 'read',
        params: modelParams,
        answers: { 200: { description: 'The model.', schema: modelObject } },
      },
      async ({ params: { id }, caller }) => {
        const found = (await list(caller)).find((model) => model.id === id);
        if (!found) {
          throw noSuchModel(id, models.ids);
        }
        return found;
      },
    ),
  ];
}

function toModelObject(model: ModelInfo, showsJobs: boolean): ModelObject {
  const { id, description, created, isDraining, isReady, share, lora, queued, running } = model;
  const status = isDraining ? 'draining' : isReady ? 'ready' : 'not_ready';
  return {
    id,
    object: 'model',
    created: created ? seconds(created) : 0,
    owned_by: 'fusionframes',
    description,
    status,
    share,
    lora: [...lora],
    jobs: showsJobs ? { queued, running } : null,
  };
}
