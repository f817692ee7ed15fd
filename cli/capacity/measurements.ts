import { readFile } from 'node:fs/promises';
import { Status } from 'nice-grpc-common';
import { z } from 'zod';
import { FusionError, invalidField } from '../../services/kit/errors.ts';
import { parseSchema } from '../../services/kit/schema.ts';
import { frameRateNames, modelNames } from '../../services/pipeline/preset.ts';

const model = z.strictObject({
  /** What the inference server's statistics say: how long a batch of so many items took on average, seconds. */
  batches: z.array(z.strictObject({ items: z.int().min(1), seconds: z.number().positive() })).min(1),
  /** Most items of a batch. */
  maxBatchSize: z.int().min(1),
  /** How long a new replica takes until it is ready, seconds; 0: not known. */
  startSeconds: z.number().min(0).max(86_400).default(0),
  /** What the stage of a video that is alone takes besides its backend's work, seconds; 0: not known. */
  outsideSeconds: z.number().min(0).max(86_400).default(0),
  /** Share of the calls that fail and are made again. */
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
  models: z.record(z.enum(Object.values(modelNames)), model),
});

export type Measurements = z.infer<typeof measurementsSchema>;
export type MeasuredModel = z.infer<typeof model>;

/**
 * Reads the file that `models measure` writes. Throws INVALID_ARGUMENT when there is none and FAILED_PRECONDITION,
 * naming each fault, when it is no such file.
 */
export async function readMeasurements(path: string): Promise<Measurements> {
  const content = await readFile(path, 'utf8').catch((error: Error) => {
    throw invalidField('--measured', path, `a file that \`models measure\` has written (${error.message})`);
  });
  try {
    return parseSchema(measurementsSchema, JSON.parse(content));
  } catch (error) {
    throw new FusionError(Status.FAILED_PRECONDITION, `${path} holds no measurements: ${(error as Error).message}`, {
      reason: 'INVALID_MEASUREMENTS',
      field: '--measured',
    });
  }
}
