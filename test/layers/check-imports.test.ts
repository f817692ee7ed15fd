import { expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { faultsOf, importsIn, readImports, staleRules } from './check-imports.ts';
import { findCircles } from './find-circles.ts';
import { layers } from './layers.ts';

const imports = readImports(packageRoot);

test('every form of import is recognised', () => {
  const text = `import type { A } from './a.ts';
import {
  b,
} from '../b.ts';
import './c.ts';
export { d } from './d.ts';
const { e } = await import('./e.ts');
import { readFile } from 'node:fs/promises';
import { txtpb } from '@bufbuild/protobuf/txtpb';
import type { Sql } from 'postgres';
import type { V } from '../../dist/gateway/v.d.ts';
`;
  expect(importsIn('services/kit/x.ts', text)).toEqual([
    { from: 'services/kit/x.ts', to: 'services/kit/a.ts', isTypeOnly: true },
    ...['services/b.ts', 'services/kit/c.ts', 'services/kit/d.ts', 'services/kit/e.ts'].map((to) => ({
      from: 'services/kit/x.ts',
      to,
      isTypeOnly: false,
    })),
    { from: 'services/kit/x.ts', to: '@bufbuild/protobuf', isTypeOnly: false, isPackage: true },
    { from: 'services/kit/x.ts', to: 'postgres', isTypeOnly: true, isPackage: true },
    { from: 'services/kit/x.ts', to: 'gateway/v.ts', isTypeOnly: true },
  ]);
});

test('comments, texts and regular expressions hide no import and make none', () => {
  const text = `/* it's */ import { // a stage's
  a, /* isn't from './no.ts' */
} from './a.ts';
// import './no.ts';
const b = "it's"; const c = /['"\`]/; const d = 1 / 2; // '
const e = \`it's \${{ f: \`\${await import('./e.ts')}'\` }} require('no')
import './no.ts';
\`;
import 'zod';
`;
  expect(importsIn('cli/x.ts', text).map(({ to }) => to)).toEqual(['cli/a.ts', 'cli/e.ts', 'zod']);
});

test.each([
  ["const sql = createRequire(import.meta.url)('postgres');", 'createRequire'],
  ["const sql = require('postgres');", 'require'],
  ['const sql = await import(name);', 'import'],
  ['const sql = await import(`postgres`);', 'import'],
])('refused: %s', (code, to) => {
  expect(faultsOf(importsIn('services/kit/x.ts', code))).toEqual([
    `services/kit/x.ts must import modules by literal names (got ${to})`,
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
  ['the page runs code of the gateway', 'gateway/page/x.ts', 'gateway/api/http/presets.ts'],
  ['an example reaches into the package', 'examples/x.ts', 'gateway/client/index.ts'],
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

test.each([
  ['services/kit/x.ts', 'onnxruntime-node'],
  ['services/kit/x.ts', '@opentelemetry/sdk-metrics'],
  ['gateway/jobs/x.ts', '@aws-sdk/client-s3'],
  ['gateway/jobs/x.ts', 'postgres'],
  ['gateway/page/x.ts', 'nice-grpc'],
  ['services/kit/x.ts', 'jest'],
])('refused: %s imports the package %s', (from, to) => {
  expect(faultsOf([{ from, to, isPackage: true }])).toEqual([
    `${from} must not import ${to} (see test/layers/layers.ts)`,
  ]);
});

test.each([
  [{ from: 'gateway/jobs/x.ts', to: 'postgres', isPackage: true, isTypeOnly: true }],
  [{ from: 'gateway/jobs/x.test.ts', to: 'postgres', isPackage: true }],
  [{ from: 'gateway/page/x.ts', to: 'gateway/api/http/presets.ts', isTypeOnly: true }],
])('allowed: %j', (each) => {
  expect(faultsOf([each])).toEqual([]);
});

test('files that import each other are reported, once a circle', () => {
  const edges = ['ab', 'bc', 'cb', 'cd', 'xx', 'ax'].map((edge) => [edge[0]!, edge[1]!] as const);
  const circles = findCircles(edges).map((circle) => circle.join(''));
  expect(circles.sort()).toEqual(['bcb', 'xx']);
  expect(faultsOf(['ab', 'ba'].map((edge) => ({ from: `cli/${edge[0]}.ts`, to: `cli/${edge[1]}.ts` })))).toEqual([
    'these files must not import each other: cli/a.ts → cli/b.ts → cli/a.ts',
  ]);
});

test('the project keeps to its layers', () => {
  expect(faultsOf(imports)).toEqual([]);
});

test('the layers lead downward, and every rule is needed', () => {
  const edges = Object.entries(layers).flatMap(([from, targets]) => targets.map((to) => [from, to] as const));
  expect(findCircles(edges)).toEqual([]);
  expect(staleRules(imports, packageRoot)).toEqual([]);
});
