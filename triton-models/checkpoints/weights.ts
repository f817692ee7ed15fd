/** Element types of parameters in a checkpoint, by the names of the safetensors format. */
export type ParameterType = 'F32' | 'F16' | 'BF16';

/** Where the bytes of a parameter lie. */
export interface StoredParameter {
  /** Name of the file; a graph and its weight files lie in one folder. */
  file: string;
  dataType: ParameterType;
  /** Bytes from the start of the file. */
  offset: number;
  /** Number of bytes. */
  length: number;
}

/** What a network asks for its parameters while its graph is built. */
export interface Weights {
  /**
   * The parameter of this published name, which must have this shape. A network declares every parameter it has this
   * way, so the provider sees the whole list.
   */
  parameter(name: string, shape: readonly number[]): StoredParameter;
}
