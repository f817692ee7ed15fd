import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePorts } from '../support/free-ports.ts';
import { tinyPreset, tinyPresetEnvironment } from '../support/tiny-preset.ts';
import type { Image, Running } from './image.ts';
import { containersOf, type Manifest, podsOf } from './rendered.ts';

/** Content of a secret, by key. */
export type Secrets = ReadonlyMap<string, Record<string, string>>;

type Probe = 'startupProbe' | 'livenessProbe' | 'readinessProbe';

interface Member {
  container: Manifest;
  pod: Manifest['spec'];
  /** Ports on this machine, by container port. */
  ports: ReadonlyMap<number, number>;
}

/**
 * Runs an overlay's containers as processes on one machine, with their arguments, settings, files and probes. Only
 * ports and folders differ, and a tiny preset replaces nano; every service's name resolves to localhost.
 */
export class DeployedMesh {
  readonly #image: Image;
  readonly #manifests: readonly Manifest[];
  readonly #secrets: Secrets;
  readonly #members: ReadonlyMap<string, Member>;

  private constructor(
    image: Image,
    manifests: readonly Manifest[],
    secrets: Secrets,
    members: ReadonlyMap<string, Member>,
  ) {
    this.#image = image;
    this.#manifests = manifests;
    this.#secrets = secrets;
    this.#members = members;
  }

  static async create(image: Image, manifests: readonly Manifest[], secrets: Secrets = new Map()) {
    const members = new Map<string, Member>();
    for (const { spec } of podsOf(manifests)) {
      for (const container of containersOf(spec).filter(({ image }) => image.startsWith('fusionframes:'))) {
        const opened: number[] = (container.ports ?? []).map(({ containerPort }: Manifest) => containerPort);
        const ports = await freePorts(opened.length);
        members.set(container.name, {
          container,
          pod: spec,
          ports: new Map(opened.map((port, index) => [port, ports[index]!])),
        });
      }
    }
    return new DeployedMesh(image, manifests, secrets, members);
  }

  get names(): string[] {
    return [...this.#members.keys()].sort();
  }

  /** The address of a container's port on this machine. */
  address(name: string, port: number): string {
    return `dns:///localhost:${this.#members.get(name)!.ports.get(port)}`;
  }

  /** The address for Prometheus and probes. */
  monitor(name: string): string {
    return `http://127.0.0.1:${this.#members.get(name)!.ports.get(9464)}`;
  }

  async start(name: string): Promise<Running> {
    const { container } = this.#members.get(name)!;
    const here = await this.#translation(name);
    const own = (container.env ?? []).flatMap(({ name, value }: Manifest) =>
      value === undefined ? [] : [[name, here(value)]],
    );
    const shared = (container.envFrom ?? []).flatMap(({ configMapRef }: Manifest) => {
      const { data } = this.#manifests.find(
        ({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === configMapRef?.name,
      )!;
      return Object.entries(data as Record<string, string>).map(([key, value]) => [key, here(value)]);
    });
    return this.#image.start(container.args.map(here), {
      ...tinyPresetEnvironment,
      ...Object.fromEntries([...shared, ...own]),
    });
  }

  /** Probes like the kubelet. Returns the status; `undefined` without a response. */
  async probe(name: string, probe: Probe): Promise<number | undefined> {
    const { container, ports } = this.#members.get(name)!;
    const { path, port } = container[probe].httpGet as { path: string; port: string };
    const { containerPort } = container.ports.find((each: Manifest) => each.name === port);
    return await fetch(`http://127.0.0.1:${ports.get(containerPort)}${path}`).then(
      ({ status }) => status,
      () => undefined,
    );
  }

  /** Translates a container's value to this machine. Volumes become folders; those of secrets contain their files. */
  async #translation(name: string): Promise<(value: string) => string> {
    const { container, pod, ports } = this.#members.get(name)!;
    const folders = new Map<string, string>();
    for (const { name: volume, mountPath } of (container.volumeMounts ?? []) as Manifest[]) {
      const source = pod.volumes.find((each: Manifest) => each.name === volume);
      const isShared = source.projected === undefined && source.secret === undefined;
      const folder = join(this.#image.folder, ...(isShared ? [volume] : [name, volume]));
      await mkdir(folder, { recursive: true });
      for (const { path, text } of secretFiles(source, this.#secrets)) {
        await writeFile(join(folder, path), text);
      }
      folders.set(mountPath, folder);
    }
    return (value) => {
      if (value === 'nano') {
        return tinyPreset;
      }
      const [, host, port] = /^(?:dns:\/\/\/)?([\w.-]+):(\d+)$/.exec(value) ?? [];
      if (host === '0.0.0.0') {
        return `127.0.0.1:${ports.get(Number(port))}`;
      }
      if (host !== undefined) {
        return this.address(this.#behind(host), Number(port));
      }
      const mount = [...folders.keys()].find((path) => value === path || value.startsWith(`${path}/`));
      return mount === undefined ? value : folders.get(mount)! + value.slice(mount.length);
    };
  }

  /** The container behind a service. */
  #behind(serviceName: string): string {
    const { spec } = this.#manifests.find(({ kind, metadata }) => kind === 'Service' && metadata.name === serviceName)!;
    const [name, value] = Object.entries(spec.selector as Record<string, string>)[0]!;
    return podsOf(this.#manifests).find(({ labels }) => labels[name] === value)!.spec.containers[0].name;
  }
}

/** A volume's files from secrets. */
function secretFiles({ projected, secret }: Manifest, secrets: Secrets): { path: string; text: string }[] {
  const sources: Manifest[] = projected?.sources.map(({ secret }: Manifest) => secret) ?? (secret ? [secret] : []);
  return sources.flatMap(({ name, secretName, items }) => {
    // A generated name ends with a hash.
    const [, held = {}] = [...secrets].find(([key]) => (name ?? secretName).startsWith(key)) ?? [];
    const wanted: { key: string; path: string }[] = items ?? Object.keys(held).map((key) => ({ key, path: key }));
    return wanted.map(({ key, path }) => ({ path, text: held[key] ?? '' }));
  });
}
