import { isUtf8 } from 'node:buffer';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import type { CallContext, CompatServiceDefinition, ServerMiddlewareCall } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import { FusionError, invalidField, inWords } from './errors.ts';
import { fieldName } from './field-name.ts';

interface MessageType {
  decode(input: BinaryReader | Uint8Array, length?: number): unknown;
}

/** Stands for text that is not UTF-8: a lone surrogate, which valid UTF-8 cannot contain. */
const invalidText = '\ud800';

/** Messages with invalid text, and the first field that has one; empty if a later value replaced all such text. */
const invalidMessages = new WeakMap<object, string>();

/**
 * A generated definition whose requests {@link refuseInvalidText} checks. Without it bytes that are not UTF-8 would be
 * replaced, and the request served with a text that its caller did not send.
 */
export function withStrictText<D extends CompatServiceDefinition>(definition: D): D {
  const methods = definition.methods as unknown as Record<string, { requestType: MessageType }>;
  const strict = Object.entries(methods).map(([name, method]) => [
    name,
    { ...method, requestType: { ...method.requestType, decode: strictDecode(method.requestType) } },
  ]);
  return { ...definition, methods: Object.fromEntries(strict) } as D;
}

/** Refuses requests of {@link withStrictText} with text that is not UTF-8: INVALID_ARGUMENT naming the field. */
export async function* refuseInvalidText<Request, Response>(
  call: ServerMiddlewareCall<Request, Response>,
  context: CallContext,
): AsyncGenerator<Response, Response | void, undefined> {
  if (call.requestStream) {
    return yield* call.next(checkedMessages(call.request), context);
  }
  checkMessage(call.request);
  return yield* call.next(call.request, context);
}

async function* checkedMessages<Request>(messages: AsyncIterable<Request>): AsyncGenerator<Request> {
  for await (const message of messages) {
    checkMessage(message);
    yield message;
  }
}

function checkMessage(message: unknown): void {
  const field = invalidMessages.get(message as object);
  if (field === '') {
    throw new FusionError(Status.INVALID_ARGUMENT, 'All text must be UTF-8 (got other bytes)', {
      reason: 'INVALID_FIELD',
    });
  }
  if (field !== undefined) {
    throw invalidField(field, inWords('other bytes'), 'text in UTF-8');
  }
}

function strictDecode(type: MessageType): MessageType['decode'] {
  return (input, length) => {
    if (input instanceof BinaryReader) {
      return type.decode(input, length);
    }
    let isValid = true;
    const message = type.decode(
      new BinaryReader(input, (bytes) => {
        if (isUtf8(bytes)) {
          return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
        }
        isValid = false;
        return invalidText;
      }),
      length,
    ) as object;
    if (!isValid) {
      invalidMessages.set(message, fieldName(invalidPath(message) ?? []));
    }
    return message;
  };
}

/** Path of the first field with invalid text, without list indices. */
function invalidPath(value: unknown): string[] | undefined {
  if (value === invalidText) {
    return [];
  }
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) {
    return undefined;
  }
  for (const [name, part] of Object.entries(value)) {
    // The key of a map has no name of its own.
    const path = name === invalidText ? [] : invalidPath(part);
    if (path) {
      return [...namesOf(name, part, value), ...path];
    }
  }
  return undefined;
}

/** What a step in a message adds to a field's path. */
function namesOf(name: string, part: unknown, parent: object): string[] {
  if ('$case' in parent) {
    return [parent.$case as string];
  }
  const isOneof = typeof part === 'object' && part !== null && '$case' in part;
  // Errors name the settings of a video alone.
  return Array.isArray(parent) || isOneof || name === 'settings' || name === invalidText ? [] : [name];
}
