import type { NetworkInterface } from '../../services/pipeline/networks/network-interface.ts';
import type { Graph } from '../graphs/graph.ts';
import type { HalfPrecisionRules } from '../graphs/half-precision-rules.ts';

/** Everything that is known of a kind of network, whatever its sizes. */
interface ArchitectureFacts<Config> {
  /** Checks constructor arguments. Throws FAILED_PRECONDITION naming every argument at fault under `field`. */
  parse(field: string, given: unknown): Config;
  /** Builds the graph as it is served. */
  build(g: Graph, config: Config): void;
  /** What it takes and gives. */
  interface(config: Config): NetworkInterface;
  /** Items that the server may put into one call. */
  maxBatchSize: number;
  allowsHalf: HalfPrecisionRules;
}

/** A network of an architecture. */
export interface Network extends Pick<ArchitectureFacts<unknown>, 'maxBatchSize' | 'allowsHalf'> {
  /** Its checked constructor arguments. */
  config: unknown;
  interface: NetworkInterface;
  build(g: Graph): void;
}

/** Makes networks of one architecture from constructor arguments; throws as its `parse` does. */
export type Architecture = (field: string, given: unknown) => Network;

export function architecture<Config>(facts: ArchitectureFacts<Config>): Architecture {
  const { parse, build, maxBatchSize, allowsHalf } = facts;
  return (field, given) => {
    const config = parse(field, given);
    return {
      config,
      interface: facts.interface(config),
      build: (g) => build(g, config),
      maxBatchSize,
      allowsHalf,
    };
  };
}
