import { Status } from 'nice-grpc-common';
import { FusionError } from '../kit/errors.ts';

export function invalidArgument(message: string): FusionError {
  return new FusionError(Status.INVALID_ARGUMENT, message);
}

export function notFound(message: string): FusionError {
  return new FusionError(Status.NOT_FOUND, message);
}

export function unavailable(message: string): FusionError {
  return new FusionError(Status.UNAVAILABLE, message);
}

export function unimplemented(message: string): FusionError {
  return new FusionError(Status.UNIMPLEMENTED, message);
}

export function internal(message: string): FusionError {
  return new FusionError(Status.INTERNAL, message);
}

/** How Triton's messages name the caller's request. */
export function requestPrefix(id: string): string {
  return `[request id: ${id || '<id_unknown>'}] `;
}

/** The status's name as Triton writes it before the reason of a failed load, such as `Invalid argument`. */
export function statusWords(error: FusionError): string {
  const words = error.codeName.replaceAll('_', ' ').toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
