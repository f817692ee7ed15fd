import { spawnSync } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packageRoot } from '../../services/kit/package-root.ts';
import type { Manifest } from './rendered.ts';

/** Where the types of other projects' kinds are published, by their groups. */
const packages: Record<string, string> = {
  'keda.sh': '@kubernetes-models/keda',
  'cert-manager.io': '@kubernetes-models/cert-manager',
};

/**
 * Has the compiler hold every object against the published types of its kind: unlike a validation by schema that finds
 * keys that do not exist. Gives what it says, empty when all is well.
 */
export async function typeFaults(manifests: readonly Manifest[]): Promise<string> {
  // Inside the project, where the types' packages are found.
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
