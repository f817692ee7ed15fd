import { expect } from '@jest/globals';
import { containersOf, type Manifest, type Overlay, podsOf, renderOverlay } from './rendered.ts';

/** Objects that overlays expect to exist; their comments list them. */
const fromOutside = new Set([
  ...['api-key', 'database', 's3', 'grafana'].map((name) => `Secret/fusionframes-${name}`),
  'PersistentVolumeClaim/fusionframes-models',
  'ConfigMap/fusionframes-authorities',
]);

/** What a container presents over TLS, and whom it trusts. */
interface Identity {
  /** Its certificate. */
  certificate: Manifest['spec'];
  /** The authority whose certificates it accepts. */
  trusts: string;
  /** URIs of the callers that it accepts; undefined: all that it trusts. */
  allows: string[] | undefined;
}

/** A rendered overlay, with the questions that its tests ask. */
export class RenderedOverlay {
  readonly name: Overlay;
  readonly manifests: readonly Manifest[];
  readonly pods: ReturnType<typeof podsOf>;
  /** All containers, including init containers; `at` names pod and container. */
  readonly containers: readonly { at: string; container: Manifest; spec: Manifest['spec'] }[];

  constructor(name: Overlay) {
    this.name = name;
    this.manifests = renderOverlay(name);
    this.pods = podsOf(this.manifests);
    this.containers = this.pods.flatMap(({ owner, spec }) =>
      containersOf(spec).map((container) => ({ at: `${owner.metadata.name}/${container.name}`, container, spec })),
    );
  }

  named(kind: string, name: string): Manifest | undefined {
    return this.manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name);
  }

  /** A container's environment variables; `undefined` for values from elsewhere. */
  variablesOf({ env = [], envFrom = [] }: Manifest): Record<string, string | undefined> {
    const shared = envFrom.map(({ configMapRef }: Manifest) => this.named('ConfigMap', configMapRef.name)!.data);
    return Object.assign({}, ...shared, ...env.map(({ name, value }: Manifest) => ({ [name]: value })));
  }

  /** A setting in a config map. */
  configured(name: string): string | undefined {
    return this.manifests.find(({ kind, data }) => kind === 'ConfigMap' && name in data)?.data[name];
  }

  /** Whether an object is rendered, issued by cert-manager, or expected to exist. */
  isThere(kind: string, name: string): boolean {
    const isIssued = this.manifests.some((each) => each.kind === 'Certificate' && each.spec.secretName === name);
    const isMade = this.name === 'laptop-own-certificates' && /-(tls|ca)$/.test(name);
    return this.named(kind, name) !== undefined || fromOutside.has(`${kind}/${name}`) || isIssued || isMade;
  }

  /** Whether what a volume takes its files from is there. */
  hasSource({ configMap, persistentVolumeClaim, secret, projected }: Manifest): boolean {
    if (configMap) {
      return this.isThere('ConfigMap', configMap.name);
    }
    if (secret) {
      return this.isThere('Secret', secret.secretName);
    }
    if (projected) {
      return projected.sources.every(({ secret }: Manifest) => this.isThere('Secret', secret.name));
    }
    return (
      persistentVolumeClaim === undefined || this.isThere('PersistentVolumeClaim', persistentVolumeClaim.claimName)
    );
  }

  /** Metadata of the claims that a pod's owner makes for it. */
  claimTemplates(spec: Manifest['spec']): Manifest['metadata'][] {
    const owner = this.pods.find((pod) => pod.spec === spec)!.owner;
    return (owner.spec.volumeClaimTemplates ?? []).map(({ metadata }: Manifest) => metadata);
  }

  /** Expects that a container has its certificate and authority where settings look for them. */
  identityOf(spec: Manifest['spec'], container: Manifest = spec.containers[0]): Identity {
    const mount = container.volumeMounts.find(({ mountPath }: Manifest) => mountPath === '/certificates');
    expect(mount).toMatchObject({ readOnly: true });
    const [own, ca] = spec.volumes.find(({ name }: Manifest) => name === mount.name).projected.sources;
    expect(ca.secret.items).toEqual([{ key: 'tls.crt', path: 'ca.crt' }]);
    const issued = (secret: string) =>
      this.manifests.find((each) => each.kind === 'Certificate' && each.spec.secretName === secret)!;
    return {
      certificate: issued(own.secret.name).spec,
      trusts: issued(ca.secret.name).metadata.name.replace(/-ca$/, ''),
      allows: this.variablesOf(container).FUSIONFRAMES_TLS_ALLOWED_CALLERS?.split(','),
    };
  }
}

export function matches(selector: Record<string, string>, labels: Record<string, string>): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value);
}
