import { fitsWeight, type LoraLayer, weightShape } from './lora-layer.ts';
import { kohyaName, namesWithin } from './lora-names.ts';
import { type LoraFile, unfitLora } from './read-lora.ts';

/** A model whose weights a LoRA may change. */
export interface LoraTarget {
  model: string;
  /** Models of one checkpoint share this key, and are changed together. */
  weights: string;
  /** Its parameters. */
  shapes: ReadonlyMap<string, readonly number[]>;
}

/** Which layers change which parameters of a model. */
export type FittedLora = ReadonlyMap<string, { parameter: string; layer: LoraLayer }[]>;

/** A layer and the parameter of this name that some models have, by those models. */
interface Found {
  layer: LoraLayer;
  parameters: ReadonlyMap<LoraTarget, string>;
}

/**
 * Finds the parameters that a LoRA's layers change, by model, and the layers that no model has. Of networks that both have a
 * layer, the one that has more of the others wins. Throws FAILED_PRECONDITION if fewer than half of the layers are found or
 * any is of another size, and INVALID_ARGUMENT if two networks have the same layers.
 *
 * @param only the model whose network is changed, if it was named
 */
export function fitLora(
  file: LoraFile,
  targets: readonly LoraTarget[],
  only?: string,
): { fitted: FittedLora; unmatched: string[] } {
  const chosen = targets.find(({ model }) => model === only);
  const candidates = chosen ? targets.filter(({ weights }) => weights === chosen.weights) : targets;
  const finders = candidates.map((target) => [target, nameFinder(target)] as const);
  const found = file.layers.map((layer): Found => {
    const parameters = new Map<LoraTarget, string>();
    for (const [target, find] of finders) {
      const parameter = find(layer.path);
      if (parameter !== undefined) {
        parameters.set(target, parameter);
      }
    }
    return { layer, parameters };
  });
  requireSameNetwork(file, found);
  const network = chooseNetworks(file, found);
  const fitted = new Map<string, { parameter: string; layer: LoraLayer }[]>();
  for (const { layer, parameters } of found) {
    const weights = network(parametersThatFit({ layer, parameters }));
    for (const [{ model, weights: own }, parameter] of parameters) {
      if (own === weights) {
        fitted.set(model, [...(fitted.get(model) ?? []), { parameter, layer }]);
      }
    }
  }
  return { fitted, unmatched: found.flatMap(({ layer, parameters }) => (parameters.size === 0 ? [layer.path] : [])) };
}

/** Finds a layer's weight among a model's parameters. */
function nameFinder({ shapes }: LoraTarget): (path: string) => string | undefined {
  const layers = [...shapes].filter(([name, shape]) => name.endsWith('.weight') && shape.length >= 2);
  const names = new Map(layers.map(([name]) => [name.slice(0, -'.weight'.length), name]));
  const underscored = new Map([...names].map(([layer, name]) => [layer.replaceAll('.', '_'), name]));
  return (path) => {
    const kohya = kohyaName(path);
    if (kohya !== undefined) {
      return underscored.get(kohya);
    }
    for (const name of namesWithin(path)) {
      if (names.has(name)) {
        return names.get(name);
      }
    }
    return undefined;
  };
}

/** The networks, by their weights' keys, of which a layer has the size. */
function parametersThatFit({ layer, parameters }: Found): Set<string> {
  const fitting = [...parameters].filter(([{ shapes }, parameter]) => fitsWeight(layer, shapes.get(parameter)!));
  return new Set(fitting.map(([{ weights }]) => weights));
}

const maxShown = 3;

function requireSameNetwork({ name, layers }: LoraFile, found: readonly Found[]): void {
  const misfits = found.filter((each) => each.parameters.size > 0 && parametersThatFit(each).size === 0);
  const missing = found.filter(({ parameters }) => parameters.size === 0);
  if (misfits.length === 0 && 2 * missing.length <= layers.length) {
    return;
  }
  const sizes = misfits.slice(0, maxShown).map(({ layer, parameters }) => {
    const [[{ model, shapes }, parameter]] = [...parameters] as [[LoraTarget, string]];
    return `\`${layer.path}\` changes a weight of [${weightShape(layer)}]; that of ${model} is [${shapes.get(parameter)}]`;
  });
  const names = missing.slice(0, maxShown).map(({ layer }) => `\`${layer.path}\` is in no network`);
  const fits = layers.length - misfits.length - missing.length;
  const list = [...sizes, ...names].map((fault) => `\n  ${fault}`).join(';');
  throw unfitLora(name, `belongs to another network: ${fits} of its ${layers.length} layers fit${list}`);
}

/** Chooses among networks that have the same layer. */
function chooseNetworks(
  { name }: LoraFile,
  found: readonly Found[],
): (fitting: ReadonlySet<string>) => string | undefined {
  const counts = new Map<string, number>();
  for (const weights of found.flatMap((each) => [...parametersThatFit(each)])) {
    counts.set(weights, (counts.get(weights) ?? 0) + 1);
  }
  return (fitting) => {
    const [first, second] = [...fitting].sort((a, b) => counts.get(b)! - counts.get(a)!);
    if (second !== undefined && counts.get(first!) === counts.get(second)) {
      const models = found.flatMap(({ parameters }) => [...parameters.keys()]);
      const modelOf = (weights: string) => models.find((each) => each.weights === weights)!.model;
      const [one, other] = [modelOf(first!), modelOf(second)];
      throw unfitLora(name, `fits ${one} as well as ${other}: name one, as in ${one}=${name}`);
    }
    return first;
  };
}
