import { Status } from 'nice-grpc-common';
import {
  type TensorChunk,
  DataType as WireDataType,
  type Tensor as WireTensor,
} from '../../proto/gen/fusionframes/v1/tensor.ts';
import { FusionError, invalidField, inWords } from '../kit/errors.ts';
import { elementTypes } from './element-types.ts';
import {
  byteSize,
  type DataType,
  dataTypes,
  type Tensor,
  type TensorArrays,
  tensorBytes,
  tensorFromBytes,
} from './tensor.ts';

/** Maximum chunk of a tensor in a message: streams of such chunks are faster than one large message. */
export const chunkBytes = 1 << 20;

/** Maximum size in bytes of a message with a chunk: the chunk, its header and other fields. */
export const maxChunkMessageBytes = 2 * chunkBytes;

const toWireType = (dataType: DataType): WireDataType => WireDataType[elementTypes[dataType].wire];

/** A small tensor as one message field. */
export function toWireTensor(value: Tensor): WireTensor {
  return { dataType: toWireType(value.dataType), shape: value.shape.map(BigInt), data: tensorBytes(value) };
}

/**
 * Reads the tensor in a message field. Throws INVALID_ARGUMENT naming `field` if it is absent, has another type or
 * rank, or does not have as many bytes as its shape requires.
 */
export function fromWireTensor<T extends DataType>(
  field: string,
  wire: WireTensor | undefined,
  dataType: T,
  rank: number,
): Tensor<T> {
  if (!wire) {
    throw invalidField(field, undefined, `a ${dataType} tensor of rank ${rank}`);
  }
  const shape = checkedHeader(field, wire, dataType, rank, Number.MAX_SAFE_INTEGER);
  return tensorFromBytes(dataType, shape, wire.data);
}

/** Splits a tensor into chunks, with the header on the first. An empty tensor is one chunk without data. */
export function* toChunks(value: Tensor): Generator<TensorChunk> {
  const bytes = tensorBytes(value);
  const header = { dataType: toWireType(value.dataType), shape: value.shape.map(BigInt) };
  yield { header, data: bytes.subarray(0, chunkBytes) };
  for (let offset = chunkBytes; offset < bytes.length; offset += chunkBytes) {
    yield { header: undefined, data: bytes.subarray(offset, offset + chunkBytes) };
  }
}

/** The tensors that a {@link TensorAssembler} accepts. */
export interface AssemblerLimits<T extends DataType> {
  /** Field name for errors. */
  field: string;
  dataType: T;
  rank: number;
  /** Larger tensors are rejected by their header, before any memory is allocated. */
  maxBytes: number;
}

/** Reassembles a tensor from chunks; throws INVALID_ARGUMENT for chunks that do not fit. */
export class TensorAssembler<T extends DataType> {
  readonly #limits: AssemblerLimits<T>;
  #shape: number[] | undefined;
  #bytes: Uint8Array = new Uint8Array();
  #filled = 0;

  constructor(limits: AssemblerLimits<T>) {
    this.#limits = limits;
  }

  /** Adds the next chunk; returns true once the tensor is complete. */
  add(chunk: TensorChunk): boolean {
    const { field, dataType, rank, maxBytes } = this.#limits;
    if (!this.#shape) {
      if (!chunk.header) {
        throw invalidField(field, inWords('a first piece without a header'), 'the header on the first piece');
      }
      this.#shape = checkedHeader(field, chunk.header, dataType, rank, maxBytes);
      this.#bytes = new Uint8Array(byteSize(dataType, this.#shape));
    } else if (chunk.header) {
      throw invalidField(field, inWords('a second header'), 'one header, on the first piece');
    }
    if (this.#filled + chunk.data.length > this.#bytes.length) {
      throw invalidField(
        field,
        inWords(`more than ${this.#bytes.length} bytes`),
        `${this.#bytes.length} bytes for [${this.#shape}]`,
      );
    }
    this.#bytes.set(chunk.data, this.#filled);
    this.#filled += chunk.data.length;
    return this.#filled === this.#bytes.length;
  }

  /** The complete tensor. Throws INVALID_ARGUMENT if chunks are missing. */
  finish(): Tensor<T> {
    const { field, dataType } = this.#limits;
    if (!this.#shape) {
      throw invalidField(field, undefined, 'a tensor');
    }
    if (this.#filled < this.#bytes.length) {
      throw new FusionError(
        Status.INVALID_ARGUMENT,
        `${field}: the stream ended after ${this.#filled} of ${this.#bytes.length} bytes`,
        { reason: 'INCOMPLETE_TENSOR', field },
      );
    }
    return tensorFromBytes<T>(dataType, this.#shape, this.#bytes) as Tensor<T> & { data: TensorArrays[T] };
  }
}

function checkedHeader(
  field: string,
  header: { dataType: WireDataType; shape: bigint[] },
  dataType: DataType,
  rank: number,
  maxBytes: number,
): number[] {
  const wanted = `${dataType} of rank ${rank} with at most ${maxBytes} bytes`;
  const shape = header.shape.map(Number);
  const given = `${wireTypeName(header.dataType)} [${shape}]`;
  if (header.dataType !== toWireType(dataType) || shape.length !== rank) {
    throw invalidField(field, given, wanted);
  }
  const valid = shape.every((dimension) => Number.isSafeInteger(dimension) && dimension > 0);
  if (!valid || byteSize(dataType, shape) > maxBytes) {
    throw invalidField(field, given, `${wanted}, every dimension at least 1`);
  }
  return shape;
}

function wireTypeName(wireType: WireDataType): string {
  return dataTypes.find((dataType) => toWireType(dataType) === wireType) ?? `type ${wireType}`;
}
