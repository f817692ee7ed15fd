import { readFile } from 'node:fs/promises';
import { Status } from 'nice-grpc-common';
import { z } from 'zod';
import { FusionError, invalidField } from '../../services/kit/errors.ts';
import { parseJson } from '../../services/kit/parse-json.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';
import { parseSchema } from '../../services/kit/schema.ts';
import { firstFrameModelNames, frameRateNames, modelNames } from '../../services/pipeline/preset.ts';

const model = z.strictObject({
  /** Mean duration of a batch by its number of items, from the inference server's statistics, seconds. */
  batches: z.array(z.strictObject({ items: z.int().min(1), seconds: z.number().positive() })).min(1),
  /** Maximum batch size. */
  maxBatchSize: z.int().min(1),
  /** Time until a new replica is ready, seconds; 0: unknown. */
  startSeconds: z.number().min(0).max(86_400).default(0),
  /** The stage's time outside its backend for a single video, seconds; 0: unknown. */
  outsideSeconds: z.number().min(0).max(86_400).default(0),
  /** Share of calls that fail and are retried. */
  retryRate: z.number().min(0).max(0.9).default(0),
});

/** Service times of the models, measured while videos of one kind were made. */
const measurementsSchema = z.strictObject({
  preset: z.string(),
  video: z.strictObject({
    width: z.int().min(1),
    height: z.int().min(1),
    frameRate: z.enum(frameRateNames),
  }),
  /** By the models' names. */
  models: z
    .partialRecord(z.enum([...Object.values(modelNames), ...Object.values(firstFrameModelNames)]), model)
    .superRefine((models, context) => {
      for (const name of Object.values(modelNames).filter((each) => models[each] === undefined)) {
        context.addIssue({ code: 'custom', path: [name], message: 'an object', input: undefined });
      }
    }),
});

export type Measurements = z.infer<typeof measurementsSchema>;
export type MeasuredModel = z.infer<typeof model>;

/**
 * Reads the file that `models measure` writes. Throws INVALID_ARGUMENT if it cannot be read and FAILED_PRECONDITION, naming
 * each fault, if it is invalid.
 */
export async function readMeasurements(path: string): Promise<Measurements> {
  const content = await readFile(path, 'utf8').catch((error: Error) => {
    throw invalidField('--measured', path, `a file written by \`models measure\` (${reasonOf(error)})`);
  });
  try {
    return parseSchema(measurementsSchema, parseJson(content));
  } catch (error) {
    throw new FusionError(Status.FAILED_PRECONDITION, `${path} holds no measurements: ${(error as Error).message}`, {
      reason: 'INVALID_MEASUREMENTS',
      field: '--measured',
    });
  }
}
