import { spawnSync } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packageRoot } from '../../services/kit/package-root.ts';
import type { Manifest } from './rendered.ts';

/** Packages with the types of other projects' kinds, by group. */
const packages: Record<string, string> = {
  'keda.sh': '@kubernetes-models/keda',
  'cert-manager.io': '@kubernetes-models/cert-manager',
};

/**
 * Type-checks every object against the published types of its kind, which finds unknown keys, unlike schema validation.
 * Returns the compiler's output, which is empty if all is well.
 */
export async function typeFaults(manifests: readonly Manifest[]): Promise<string> {
  // Inside the project, so that the type packages are found.
  const folder = join(packageRoot, 'dist', `manifests-${process.pid}`);
  await mkdir(folder, { recursive: true });
  try {
    const file = join(folder, 'manifests.ts');
    await writeFile(file, manifests.map(declaration).join('\n'));
    const tsc = join(packageRoot, 'node_modules', 'typescript', 'bin', 'tsc');
    const options = [
      '--noEmit',
      '--strict',
      '--skipLibCheck',
      '--module',
      'nodenext',
      '--target',
      'es2023',
      '--ignoreConfig',
    ];
    const { stdout, stderr } = spawnSync(process.execPath, [tsc, ...options, file], { encoding: 'utf8' });
    return stdout + stderr;
  } finally {
    await rm(folder, { recursive: true });
  }
}

function declaration(manifest: Manifest, index: number): string {
  const { apiVersion, kind } = manifest;
  const [group] = apiVersion.split('/');
  const module = `${packages[group!] ?? 'kubernetes-models'}/${apiVersion}`;
  return `export const object${index}: import('${module}/${kind}').I${kind} = ${JSON.stringify(manifest)};`;
}
