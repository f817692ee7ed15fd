import { isUtf8 } from 'node:buffer';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import type { CompatServiceDefinition } from 'nice-grpc';

interface MessageType {
  decode(input: BinaryReader | Uint8Array, length?: number): unknown;
}

/** A lone surrogate, which valid UTF-8 cannot contain: text checks reject it and name the field. */
const invalidText = '\ud800';

/**
 * A generated definition that decodes text which is not UTF-8 to a lone surrogate, which JSON can hold as well. Without
 * it such bytes would be replaced, and the request served with a text that its caller did not send.
 */
export function withStrictText<D extends CompatServiceDefinition>(definition: D): D {
  const methods = definition.methods as unknown as Record<string, { requestType: MessageType }>;
  const strict = Object.entries(methods).map(([name, method]) => [
    name,
    { ...method, requestType: { ...method.requestType, decode: strictDecode(method.requestType) } },
  ]);
  return { ...definition, methods: Object.fromEntries(strict) } as D;
}

function strictDecode(type: MessageType): MessageType['decode'] {
  return (input, length) =>
    type.decode(input instanceof BinaryReader ? input : new BinaryReader(input, decodeText), length);
}

function decodeText(bytes: Uint8Array): string {
  return isUtf8(bytes) ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString() : invalidText;
}
