import { BinaryWriter } from '@bufbuild/protobuf/wire';
import type { CompatServiceDefinition } from 'nice-grpc';
import { appendParts } from './appended-parts.ts';
import { sendAppendedParts } from './send-appended-parts.ts';

/** A field of type `repeated bytes`: its name in the generated code and its number in the contract. */
export interface BytesField {
  name: string;
  number: number;
}

type Message = Record<string, unknown>;

interface MessageType {
  encode(message: Message): { finish(): Uint8Array };
}

const lengthDelimited = 2;

sendAppendedParts();

/**
 * A generated definition that sends the last field of one of its messages, large bytes, without copying them. Otherwise they
 * are copied four times: by the generated code into a buffer that it doubles until they fit and out of it, by nice-grpc, and
 * by grpc-js. They must not change until the call ends. The bytes on the wire are the same.
 *
 * @param field must have the highest number of the message's fields
 */
export function appendingBytes<D extends CompatServiceDefinition>(
  definition: D,
  method: string,
  message: 'requestType' | 'responseType',
  field: BytesField,
): D {
  const methods = definition.methods as unknown as Record<string, Record<typeof message, MessageType>>;
  const type = methods[method]![message];
  const encode = (value: Message) => {
    const head = type.encode({ ...value, [field.name]: [] }).finish();
    return { finish: () => append(head, field, value[field.name] as readonly Uint8Array[]) };
  };
  const changed = { ...methods[method], [message]: { ...type, encode } };
  return { ...definition, methods: { ...definition.methods, [method]: changed } };
}

function append(head: Uint8Array, { number }: BytesField, contents: readonly Uint8Array[]): Uint8Array {
  const parts = contents.flatMap((bytes) => {
    const tag = new BinaryWriter().uint32((number << 3) | lengthDelimited).uint32(bytes.byteLength);
    return [tag.finish(), bytes];
  });
  const start = new Uint8Array(head);
  appendParts(start, parts);
  // nice-grpc gives it to `Buffer.from`, which copies an array of bytes but not an ArrayBuffer.
  return start.buffer as unknown as Uint8Array;
}
