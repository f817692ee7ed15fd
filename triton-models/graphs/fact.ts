import type { ElementTypeName } from '../../services/pipeline/element-types.ts';
import type { Dimension } from '../../services/pipeline/networks/network-interface.ts';

/** What is known of a tensor in a graph before anything runs. */
export interface Fact {
  type: ElementTypeName;
  shape: readonly Dimension[];
  /** The elements, where they decide shapes further on: small constants and what is computed from sizes. */
  values?: readonly Dimension[];
}
