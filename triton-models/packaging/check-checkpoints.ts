import { Status } from 'nice-grpc-common';
import { FusionError, toFusionError } from '../../services/kit/errors.ts';
import type { Checkpoint } from '../checkpoints/checkpoint.ts';
import { CheckpointWeights, type VerifyOptions } from '../checkpoints/checkpoint-weights.ts';
import { parametersOf } from '../networks/preset-networks.ts';
import {
  argumentFaults,
  configFaults,
  missingSources,
  openSources,
  requireArgumentFiles,
} from './checkpoint-source.ts';
import type { ServedModel } from './served-models.ts';
import { maxRandomParameters, type WeightsState } from './weights-state.ts';

/** A model and the weights to build it with. */
export interface PlannedModel {
  model: ServedModel;
  weights: WeightsState;
}

/**
 * Opens the checkpoints of all models and checks them against the networks before anything is written. Throws one error
 * with every fault of every model: NOT_FOUND if files are missing, FAILED_PRECONDITION naming each tensor that is
 * missing, extra or misshapen, with the expected and the actual shape.
 *
 * @param ignoreExtra whether tensors that a network does not have are ignored instead of being a fault
 */
export async function checkCheckpoints(
  planned: readonly PlannedModel[],
  ignoreExtra = false,
): Promise<Map<string, Checkpoint | 'random'>> {
  const checkpoints = new Map<string, Checkpoint | 'random'>();
  const faults: FusionError[] = [];
  for (const { model, weights } of planned) {
    try {
      checkpoints.set(model.name, weights === 'random' ? 'random' : await checkModel(model, ignoreExtra));
    } catch (error) {
      const fault = toFusionError(error);
      // Models may share a file.
      if (!faults.some(({ message }) => message === fault.message)) {
        faults.push(fault);
      }
    }
  }
  if (faults.length > 1) {
    const { code, reason } = faults[0]!;
    throw new FusionError(code, faults.map(({ message }) => message).join('\n'), { reason, field: 'checkpoint' });
  }
  if (faults.length === 1) {
    throw faults[0]!;
  }
  return checkpoints;
}

async function checkModel(model: ServedModel, ignoreExtra: boolean): Promise<Checkpoint> {
  const parameters = parametersOf(model);
  const missing = await missingSources(model.sources);
  if (missing.length > 0) {
    const isLarge = parameters.count > maxRandomParameters;
    throw new FusionError(
      Status.NOT_FOUND,
      `${model.name}: checkpoint not found: ${missing.join(', ')}` +
        (isLarge ? ` (a network of ${parameters.count} parameters gets no random weights)` : ''),
      { reason: 'CHECKPOINT_NOT_FOUND', field: 'checkpoint' },
    );
  }
  const checkpoint = await openSources(model.sources, [...parameters.shapes.keys()]).catch((error: unknown) => {
    const { code, message, reason } = toFusionError(error);
    throw new FusionError(code, `${model.name}: ${message}`, { reason, field: 'checkpoint', cause: error });
  });
  await requireArgumentFiles(model.sources);
  const further = [
    ...(await configFaults(model.sources, model.config)),
    ...(await argumentFaults(model.sources, model)),
  ];
  try {
    const leftOut = verify(model, checkpoint, { further, ignoreExtra });
    return leftOut === undefined ? checkpoint : { ...checkpoint, notes: [...(checkpoint.notes ?? []), leftOut] };
  } catch (error) {
    const { code, message, reason } = toFusionError(error);
    const others = fits(model, checkpoint) ? [] : model.variants();
    const fitting = others.filter(({ build }) => fits({ ...model, build }, checkpoint));
    if (fitting.length === 0) {
      throw error;
    }
    const names = fitting.map(({ name }) => name).join(' or ');
    throw new FusionError(code, `${model.name}: ${checkpoint.path} is a checkpoint of ${names}\n${message}`, {
      reason,
      field: 'checkpoint',
      cause: error,
    });
  }
}

type Buildable = Pick<ServedModel, 'name' | 'build' | 'others'>;

function verify(model: Buildable, checkpoint: Checkpoint, options?: VerifyOptions): string | undefined {
  const weights = new CheckpointWeights([{ file: checkpoint }]);
  for (const [name, shape] of parametersOf(model).shapes) {
    weights.parameter(name, shape);
  }
  return weights.verify(model.name, model.others(), options);
}

function fits(model: Buildable, checkpoint: Checkpoint): boolean {
  try {
    verify(model, checkpoint);
    return true;
  } catch {
    return false;
  }
}
