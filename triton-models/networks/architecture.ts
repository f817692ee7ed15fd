import type { NetworkInterface } from '../../services/pipeline/networks/network-interface.ts';
import type { EnginePrecision } from '../graphs/engine-precision.ts';
import type { Graph } from '../graphs/graph.ts';
import type { HalfPrecisionRules } from '../graphs/half-precision-rules.ts';

/** Everything about a kind of network, independent of its sizes. */
interface ArchitectureFacts<Config> {
  /** Checks constructor arguments. Throws FAILED_PRECONDITION naming every argument at fault under `field`. */
  parse(field: string, given: unknown): Config;
  /**
   * The same for arguments as published, if those of a preset leave some out. What it returns has every argument of a
   * preset.
   */
  parsePublished?(field: string, given: unknown): unknown;
  /** Builds the served graph. */
  build(g: Graph, config: Config): void;
  /** Beginnings of the names in its checkpoint that belong to other networks; default: none. */
  others?(config: Config): readonly string[];
  /** Its inputs and outputs. */
  interface(config: Config): NetworkInterface;
  /** Maximum number of items per call. */
  maxBatchSize: number;
  allowsHalf: HalfPrecisionRules;
  /** Default precision of an engine: what the published network runs in. */
  enginePrecision: EnginePrecision;
  /** Variants of the network, by name, each as `build`: a checkpoint that does not fit may belong to one of them. */
  variants?(config: Config): Record<string, (g: Graph) => void>;
}

/** A network of an architecture. */
export interface Network extends Pick<ArchitectureFacts<unknown>, 'maxBatchSize' | 'allowsHalf' | 'enginePrecision'> {
  /** Its checked constructor arguments. */
  config: unknown;
  interface: NetworkInterface;
  parsePublished(field: string, given: unknown): unknown;
  /** Facts besides the constructor arguments that published ones must agree with. Default: none. */
  stated?: Readonly<Record<string, unknown>>;
  /** The network with other constructor arguments in place of those that it has. Throws like `parse`. */
  withArguments(others: object): Network;
  build(g: Graph): void;
  /** Networks that are easily mistaken for this one. */
  variants(): { name: string; build(g: Graph): void }[];
  /** Beginnings of the names in its checkpoint that belong to other networks. */
  others(): readonly string[];
}

/** Creates networks of an architecture from constructor arguments; throws like its `parse`. */
export type Architecture = (field: string, given: unknown) => Network;

export function architecture<Config>(facts: ArchitectureFacts<Config>): Architecture {
  const { parse, build, maxBatchSize, allowsHalf, enginePrecision } = facts;
  const create: Architecture = (field, given) => {
    const config = parse(field, given);
    return {
      config,
      interface: facts.interface(config),
      parsePublished: facts.parsePublished ?? parse,
      withArguments: (others) => create(field, { ...config, ...others }),
      build: (g) => build(g, config),
      variants: () =>
        Object.entries(facts.variants?.(config) ?? {}).map(([name, buildVariant]) => ({ name, build: buildVariant })),
      others: () => facts.others?.(config) ?? [],
      maxBatchSize,
      allowsHalf,
      enginePrecision,
    };
  };
  return create;
}
