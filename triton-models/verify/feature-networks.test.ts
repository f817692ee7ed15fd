import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfEachTest } from '../../services/kit/testing/test-scope.ts';
import { c3d } from '../graphs/c3d.ts';
import type { Graph } from '../graphs/graph.ts';
import { i3d } from '../graphs/i3d.ts';
import { lpips } from '../graphs/lpips.ts';
import { parametersOf } from '../networks/preset-networks.ts';
import { featureModels } from '../packaging/model-set.ts';
import { listFeatureNetworks, loadFeatureNetworks } from '../sources/feature-networks.ts';
import { writeFormulaWeights } from './testing/formula-weights.ts';
import { verifyCase } from './verify-case.ts';

const scope = scopeOfEachTest();

async function verify(name: string, build?: (g: Graph) => void): Promise<void> {
  const golden = join(packageRoot, 'test', 'fixtures', 'goldens', name);
  const folder = build === undefined ? golden : temporaryFolder(scope);
  if (build !== undefined) {
    await cp(golden, folder, { recursive: true });
    await writeFormulaWeights(folder, build);
  }
  const verified = await verifyCase(folder, { intermediates: true });
  const differing = verified.filter(({ difference }) => difference === null || !(difference < 1e-3));
  expect({ differing, count: verified.length }).toEqual({ differing: [], count: expect.any(Number) });
  expect(verified.length).toBeGreaterThan(1);
}

test('LPIPS with AlexNet', () => verify('metrics-lpips-alex', (g) => lpips(g, { net: 'alex' })));
test('both towers of CLIP', () => verify('metrics-clip'));
// Recorded by training/record_c3d.py, since there is no published reference to run.
test('C3D', () => verify('metrics-c3d', (g) => c3d(g, { n_outputs: 101, width: 1 / 16 })));
test('I3D', () => verify('metrics-i3d', (g) => i3d(g, { num_classes: 400, width: 1 })));

test('the published networks have the published numbers of parameters', () => {
  const counts = listFeatureNetworks().map((name) => {
    const models = featureModels(loadFeatureNetworks(name)).models();
    return [name, models.reduce((sum, model) => sum + parametersOf(model).count, 0)];
  });
  expect(counts).toEqual([
    // With the mean video.
    ['c3d-ucf-101', 78_409_573 + 3 * 16 * 112 * 112],
    // Without the scale of the logits, which is one more.
    ['clip-vit-base-patch32', 151_277_312],
    // With the means and variances of its batch norms.
    ['i3d-kinetics-400', 12_697_264 + 2 * 7_280],
    ['lpips-alex', 2_469_696 + 1_152],
    ['lpips-vgg', 14_714_688 + 1_472],
  ]);
});
