import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfEachTest } from '../../services/kit/testing/test-scope.ts';
import type { Graph } from '../graphs/graph.ts';
import { i3d } from '../graphs/i3d.ts';
import { lpips } from '../graphs/lpips.ts';
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
test('I3D', () => verify('metrics-i3d', (g) => i3d(g, { num_classes: 400, width: 1 })));
