import type { Tensor } from '../../services/pipeline/tensor.ts';

/** Runs a model that judges videos, wherever it is served. */
export type RunModel = (model: string, inputs: Record<string, Tensor>) => Promise<Record<string, Tensor>>;
