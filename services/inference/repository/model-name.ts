import { invalidArgument } from '../errors.ts';

/** Throws INVALID_ARGUMENT unless the name is that of a folder directly in the repository. */
export function requireModelName(name: string): void {
  if (name.trim() === '') {
    throw invalidArgument('Model name cannot be empty. Please enter a valid name to deploy.');
  }
  if (/[/\\\0]/.test(name) || ['.', '..'].includes(name.trim())) {
    throw invalidArgument(`invalid model name '${name}', model name must not contain path traversal characters`);
  }
}
