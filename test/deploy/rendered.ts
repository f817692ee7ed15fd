import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe } from '@jest/globals';
import { parseAllDocuments } from 'yaml';
import { packageRoot } from '../../services/kit/package-root.ts';

/** A rendered object. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string>; annotations?: Record<string, string> };
  // biome-ignore lint/suspicious/noExplicitAny: its shape depends on its kind.
  [field: string]: any;
}

const deployed = ['laptop', 'production', 'two-versions', 'example', 'kandinsky-video-1.1'] as const;
/** Overlays of these tests, for components that no other overlay uses. */
const ofTests = [
  'laptop-mtls',
  'laptop-own-certificates',
  'production-scaled-to-zero',
  'production-in-another-namespace',
] as const;
export const overlays = [...deployed, ...ofTests];

export type Overlay = (typeof overlays)[number];

const why = whyNoKustomize();
if (why !== undefined) {
  console.warn(`The manifests are not rendered: ${why}`);
}

/** Whether manifests are rendered here; otherwise all have no objects. */
export const canRender = why === undefined;
/** Describes tests that need rendered manifests. */
export const whereRendered = canRender ? describe : describe.skip;

/** Why nothing can be rendered here; undefined if it can. */
function whyNoKustomize(): string | undefined {
  const { status, error } = spawnSync('kubectl', ['kustomize', '--help'], { stdio: 'ignore' });
  return status === 0 ? undefined : (error?.message ?? 'kubectl has no kustomize');
}

const rendered = new Map<string, readonly Manifest[]>();

export function renderOverlay(name: Overlay): readonly Manifest[] {
  const isDeployed = (deployed as readonly string[]).includes(name);
  const folder = join(packageRoot, ...(isDeployed ? ['deploy', 'kubernetes'] : ['test', 'deploy']), 'overlays', name);
  return render(folder);
}

/** The laptop with kinds of other projects, whose types no package here has. */
export function renderPublished(): readonly Manifest[] {
  return render(join(packageRoot, 'test', 'deploy', 'overlays', 'laptop-published'));
}

type ModelsPart = 'models' | 'models-volume';

/** The volume of models, or a job that fills it; also as the example adapts them. */
export function renderModels(part: ModelsPart | 'models-1.1' | `overlays/example/${ModelsPart}`): readonly Manifest[] {
  return render(join(packageRoot, 'deploy', 'kubernetes', part));
}

/** The objects of a folder, which is rendered once in a process. */
export function render(folder: string): readonly Manifest[] {
  if (!canRender) {
    return [];
  }
  let manifests = rendered.get(folder);
  if (manifests === undefined) {
    const text = execFileSync('kubectl', ['kustomize', folder], { encoding: 'utf8', maxBuffer: 64 << 20 });
    manifests = parseAllDocuments(text).map((document) => document.toJS() as Manifest);
    rendered.set(folder, manifests);
  }
  return manifests;
}

/** Pod templates of objects of any kind, with their owners. */
export function podsOf(manifests: readonly Manifest[]) {
  return manifests.flatMap((manifest) => {
    const template = manifest.spec?.template;
    return template?.spec?.containers
      ? [{ owner: manifest, labels: template.metadata.labels, spec: template.spec }]
      : [];
  });
}

/** All containers of a pod, including init containers. */
export function containersOf(spec: Manifest['spec']): Manifest[] {
  return [...(spec.initContainers ?? []), ...spec.containers];
}

/** Whether a container runs our image, from any registry. */
export function runsOurImage({ image }: Manifest): boolean {
  return /(^|\/)fusionframes:/.test(image);
}

/** All string values of an object, at any depth. */
export function stringsIn(value: unknown): string[] {
  if (typeof value === 'string') {
    return [value];
  }
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(stringsIn) : [];
}
