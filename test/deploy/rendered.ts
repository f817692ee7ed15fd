import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { packageRoot } from '../../services/kit/package-root.ts';

/** An object as the cluster would get it. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string> };
  // biome-ignore lint/suspicious/noExplicitAny: of as many shapes as there are kinds.
  [field: string]: any;
}

export const overlays = ['laptop', 'production'] as const;

/** Why nothing can be rendered here; undefined where it can. */
export function whyNoKustomize(): string | undefined {
  const { status, error } = spawnSync('kubectl', ['kustomize', '--help'], { stdio: 'ignore' });
  return status === 0 ? undefined : (error?.message ?? 'kubectl has no kustomize');
}

export function renderOverlay(name: (typeof overlays)[number]): Manifest[] {
  const folder = join(packageRoot, 'deploy', 'kubernetes', 'overlays', name);
  const text = execFileSync('kubectl', ['kustomize', folder], { encoding: 'utf8', maxBuffer: 64 << 20 });
  return parseAllDocuments(text).map((document) => document.toJS() as Manifest);
}

/** Pods that objects of any kind make, with who makes them. */
export function podsOf(manifests: readonly Manifest[]) {
  return manifests.flatMap((manifest) => {
    const template = manifest.spec?.template;
    return template?.spec?.containers
      ? [{ owner: manifest, labels: template.metadata.labels, spec: template.spec }]
      : [];
  });
}

/** All containers of a pod, those that run before the others included. */
export function containersOf(spec: Manifest['spec']): Manifest[] {
  return [...(spec.initContainers ?? []), ...spec.containers];
}
