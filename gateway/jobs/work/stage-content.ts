import { createHash } from 'node:crypto';
import type { StageName } from '../../../services/pipeline/stages.ts';

/** Everything that determines a stage's result. */
export interface StageInputs {
  stage: StageName;
  /** See `ModelService` in the contract. */
  model: string;
  /** SHA-256 of the result that the stage continues from; absent for the first stage. */
  from?: string | undefined;
  /** The request besides that. */
  request: readonly unknown[];
}

/** Name of a stage's result by its content: results with the same name are equal. */
export function stageContent({ stage, model, from, request }: StageInputs): string {
  const text = JSON.stringify([stage, model, from ?? '', ...request], (_, value) =>
    typeof value === 'bigint' ? String(value) : value,
  );
  return createHash('sha256').update(text).digest('hex');
}
