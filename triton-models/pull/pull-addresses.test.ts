import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { writeRandomWeights } from '../checkpoints/random-weights.ts';
import { parametersOf } from '../networks/preset-networks.ts';
import { featureModels } from '../packaging/model-set.ts';
import { loadFeatureNetworks } from '../sources/feature-networks.ts';
import { pullModels } from './pull-models.ts';
import { HubServer } from './testing/hub-server.ts';

const folder = temporaryFolder(scopeOfAllTests());
const at = (...names: string[]) => join(folder, ...names);
const repository = 'publisher/files';
const trunk = 'alexnet-owt-7be5be79.pth';
const layers = 'lpips/weights/v0.1/alex.pth';

/** What is on the hub, and what is elsewhere. */
let [hub, other]: HubServer[] = [];
let trunkHash: string;

beforeAll(async () => {
  [hub, other] = [await HubServer.start(), await HubServer.start()];
  const { models } = featureModels(loadFeatureNetworks('lpips-alex'));
  const shapes = new Map([...parametersOf(models()[0]!).shapes].filter(([name]) => name.startsWith('features.')));
  await writeRandomWeights(at('trunk'), shapes, 1);
  const content = await readFile(at('trunk'));
  trunkHash = createHash('sha256').update(content).digest('hex');
  const published = await readFile(join(packageRoot, 'test', 'fixtures', 'torch', 'lpips-alex.pth'));
  const files = [
    [trunk, content],
    [layers, published],
  ] as const;
  other.repositories.set(repository, new Map(files));
});
afterAll(async () => {
  await Promise.all([hub!.stop(), other!.stop()]);
});

/** LPIPS, its published files at another host than the hub. */
async function pull(name: string, hash: string): Promise<string[]> {
  await Promise.all(['feature-networks', 'sources'].map((each) => mkdir(at(name, each), { recursive: true })));
  const read = (...names: string[]) => readFile(join(packageRoot, 'triton-models', ...names), 'utf8');
  await writeFile(at(name, 'feature-networks', 'lpips-alex.json'), await read('feature-networks', 'lpips-alex.json'));
  const sources = JSON.parse(await read('sources', 'lpips-alex.json'));
  for (const each of sources.repositories) {
    each.address = `${other!.endpoint}/${repository}`;
    each.revision = 'resolve/0123456789abcdef0123456789abcdef01234567';
  }
  sources.repositories[0].hashes[trunk] = `sha256:${hash}`;
  await writeFile(at(name, 'sources', 'lpips-alex.json'), JSON.stringify(sources));
  const networks = loadFeatureNetworks(at(name, 'feature-networks', 'lpips-alex.json'));
  const progress: string[] = [];
  await pullModels(featureModels(networks), {
    from: 'hub',
    output: at(name, 'output'),
    hub: { endpoint: hub!.endpoint, token: 'secret', timeoutMilliseconds: 5000, firstWaitMilliseconds: 1 },
    progress: {
      unchanged: (file) => progress.push(`${file} unchanged`),
      start: (file) => progress.push(file),
      advance: () => {},
      done: () => {},
    },
  });
  return progress;
}

test('files outside the hub fit their network, and the token stays at the hub', async () => {
  expect(await pull('lpips', trunkHash.slice(0, 8))).toEqual([trunk, 'lpips-alex.pth']);
  expect(other!.requests.map(({ authorization }) => authorization)).not.toContain('Bearer secret');
  expect(await pull('lpips', trunkHash.slice(0, 8))).toEqual([`${trunk} unchanged`, 'lpips-alex.pth unchanged']);
});

test('another content than was published is refused', async () => {
  await expect(pull('changed', '7be5be79')).rejects.toThrow(/alexnet-owt-7be5be79\.pth: sha256 7be5be79 expected, /);
});
