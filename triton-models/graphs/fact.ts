import type { ElementTypeName } from '../../services/pipeline/element-types.ts';
import type { Dimension } from '../../services/pipeline/networks/network-interface.ts';

/** What is statically known about a tensor in a graph. */
export interface Fact {
  type: ElementTypeName;
  shape: readonly Dimension[];
  /** The elements, if later shapes depend on them: small constants and values computed from sizes. */
  values?: readonly Dimension[];
}
