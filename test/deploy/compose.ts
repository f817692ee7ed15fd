import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { packageRoot } from '../../services/kit/package-root.ts';
import type { Manifest } from './rendered.ts';

type Values = Record<string, unknown>;

/** A service of a compose file, with the fields that our files use. */
export interface ComposeService {
  image: string;
  build?: { context: string; dockerfile: string };
  entrypoint?: string[];
  command?: string[];
  environment?: Record<string, string>;
  volumes?: string[];
  secrets?: string[];
  depends_on?: Record<string, { condition: string }>;
  pull_policy?: string;
  restart?: string;
  healthcheck?: { test: string[] };
  logging?: { driver: string; options: Record<string, string> };
  [key: string]: unknown;
}

export interface ComposeFile {
  services: Record<string, ComposeService>;
  volumes: Values;
  secrets: Record<string, { file: string }>;
}

/** A value that replaces those of earlier files (`!override`) or removes them (`!reset`). */
class Replacement {
  readonly value: unknown;
  constructor(value: unknown) {
    this.value = value;
  }
}

const customTags = [
  { tag: '!reset', resolve: () => new Replacement(undefined) },
  ...(['seq', 'map'] as const).map((collection) => ({
    tag: '!override',
    collection,
    resolve: (node: unknown) => new Replacement((node as { toJSON(): unknown }).toJSON()),
  })),
];

/** Compose files of `deploy/`, merged in order like `docker compose` does, with the defaults of their variables. */
export function readCompose(...names: readonly string[]): ComposeFile {
  const [first, ...others] = names.map((name) => {
    const text = readFileSync(join(packageRoot, 'deploy', name), 'utf8').replace(/\$\{\w+:-([^}]*)\}/g, '$1');
    return parse(text, { merge: true, customTags: customTags as never }) as Values;
  });
  return others.reduce<unknown>((below, above) => merged(below, above), first) as ComposeFile;
}

/** Merges maps, concatenates lists (of volumes) and replaces anything else, including commands and health checks. */
function merged(below: unknown, above: unknown, key?: string): unknown {
  if (above instanceof Replacement) {
    return above.value;
  }
  if (Array.isArray(below) && Array.isArray(above)) {
    return ['command', 'entrypoint', 'test'].includes(key!) ? above : [...below, ...above];
  }
  if (isMap(below) && isMap(above)) {
    const keys = [...new Set([...Object.keys(below), ...Object.keys(above)])];
    return Object.fromEntries(
      keys.map((each) => [each, each in above ? merged(below[each], above[each], each) : below[each]]),
    );
  }
  return above;
}

function isMap(value: unknown): value is Values {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The services of our image in cluster terms: pods, their mounts and the names that resolve to them. */
export function asManifests({ services }: ComposeFile): Manifest[] {
  return Object.entries(services)
    .filter(([, { image }]) => image.startsWith('fusionframes:'))
    .flatMap(([name, { image, command = [], environment = {}, volumes = [], secrets = [] }]): Manifest[] => {
      const values = Object.entries(environment).map(([name, value]) => ({ name, value }));
      const opened = [...command, ...Object.values(environment)].flatMap(
        (value) => /^0\.0\.0\.0:(\d+)$/.exec(value)?.[1] ?? [],
      );
      const mounts = volumes
        .map((each) => each.split(':'))
        .map(([volume, path]) => ({ name: volume!, mountPath: path! }));
      const container = {
        name,
        image,
        args: command,
        env: values,
        ports: opened.map((port) => ({ containerPort: Number(port) })),
        volumeMounts: [...mounts, ...(secrets.length > 0 ? [{ name: 'secrets', mountPath: '/run/secrets' }] : [])],
      };
      const labels = { name };
      const items = secrets.map((key) => ({ key, path: key }));
      const sources = [
        ...mounts.map(({ name }) => ({ name })),
        { name: 'secrets', secret: { secretName: 'compose', items } },
      ];
      return [
        {
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          metadata: { name },
          spec: { template: { metadata: { labels }, spec: { containers: [container], volumes: sources } } },
        },
        { apiVersion: 'v1', kind: 'Service', metadata: { name }, spec: { selector: labels } },
      ];
    });
}
