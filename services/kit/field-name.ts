/** A field's name in protobuf and JSON. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** A field's path in errors. */
export function fieldName(path: readonly string[]): string {
  return path.map(snakeCase).join('.');
}
