/**
 * Whether half precision is allowed inside modules with these names; the innermost listed module decides. The rules are
 * stricter than PyTorch's autocast, under which the published networks run, where that costs nothing.
 */
export type HalfPrecisionRules = Readonly<Record<string, boolean>>;
