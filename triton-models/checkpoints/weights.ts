/** Element types of parameters in a checkpoint, by the names of the safetensors format. */
export type ParameterType = 'F32' | 'F16' | 'BF16';

/** Location of a parameter's bytes. */
export interface StoredParameter {
  /** File name; a graph and its weight files share a folder. */
  file: string;
  dataType: ParameterType;
  /** Offset in the file, in bytes. */
  offset: number;
  /** Number of bytes. */
  length: number;
}

/** Provides a network's parameters while its graph is built. */
export interface Weights {
  /**
   * The parameter with this published name, which must have this shape. A network requests every parameter this way, so
   * the provider sees the complete list.
   */
  parameter(name: string, shape: readonly number[]): StoredParameter;
}
