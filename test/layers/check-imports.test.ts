import { expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { faultsOf, importsIn, readImports } from './check-imports.ts';

test('every form of import is recognised', () => {
  const text = `import type { A } from './a.ts';
import {
  b,
} from '../b.ts';
import './c.ts';
export { d } from './d.ts';
const { e } = await import('./e.ts');
import { readFile } from 'node:fs/promises';
`;
  expect(importsIn('services/kit/x.ts', text).map(({ to }) => to)).toEqual([
    'services/kit/a.ts',
    'services/b.ts',
    'services/kit/c.ts',
    'services/kit/d.ts',
    'services/kit/e.ts',
  ]);
});

test.each([
  ['a stage imports another stage', 'services/decoder/x.ts', 'services/keyframes/y.ts'],
  ['what every process needs imports the pipeline', 'services/kit/x.ts', 'services/pipeline/preset.ts'],
  ["the gateway speaks Triton's protocol", 'gateway/jobs/x.ts', 'services/triton/triton-client.ts'],
  ['a stage reads ONNX', 'services/decoder/x.ts', 'proto/gen/onnx/onnx.ts'],
  ['webhooks import the API', 'gateway/webhooks/x.ts', 'gateway/api/http/video-object.ts'],
  ['the program is imported', 'gateway/jobs/x.ts', 'cli/mesh.ts'],
  ['what ships imports what tests', 'services/kit/x.ts', 'services/kit/testing/certificates.ts'],
  ['a folder without a rule imports anything', 'somewhere/x.ts', 'services/kit/errors.ts'],
])('refused: %s', (_, from, to) => {
  expect(faultsOf([{ from, to }])).toContain(`${from} must not import ${to} (see test/layers/layers.ts)`);
});

test.each([
  ['services/decoder/x.ts', 'services/triton/stage.ts'],
  ['gateway/jobs/x.test.ts', 'gateway/api/http/video-object.ts'],
  ['services/triton/x.test.ts', 'services/inference/server.ts'],
  ['cli/x.test.ts', 'test/support/cli.ts'],
  ['cli/x.ts', 'triton-models/pull/hub-settings.ts'],
])('allowed: %s imports %s', (from, to) => {
  expect(faultsOf([{ from, to }]).filter((fault) => fault.startsWith(from))).toEqual([]);
});

test('the project keeps to its layers', () => {
  expect(faultsOf(readImports(packageRoot))).toEqual([]);
});
