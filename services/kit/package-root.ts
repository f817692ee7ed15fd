import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of package.json, which holds presets, weights and tokenizers, for sources and dist alike. */
export const packageRoot = findPackageRoot(dirname(fileURLToPath(import.meta.url)));

/** The version that package.json names. */
export function packageVersion(): string {
  return packageFile().version;
}

/** The exact version of a dependency. */
export function dependencyVersion(name: string): string {
  return packageFile().dependencies[name]!;
}

function packageFile(): { version: string; dependencies: Record<string, string> } {
  return JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8'));
}

function findPackageRoot(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : findPackageRoot(dirname(folder));
}
