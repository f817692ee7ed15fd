/**
 * Whether half precision is allowed inside modules of these names; the innermost one that is named decides. A network is
 * stricter than PyTorch's autocast, in which the published ones run, where that costs nothing.
 */
export type HalfPrecisionRules = Readonly<Record<string, boolean>>;
