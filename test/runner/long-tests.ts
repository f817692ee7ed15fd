import { sep } from 'node:path';
import { packageRoot } from '../../services/kit/package-root.ts';

/** Tests that start several processes, drive a browser, compute with whole networks or make a thousand requests. */
const longTests = [
  'cli/',
  'gateway/api/http/fuzz',
  'gateway/database/open-database',
  'gateway/durability/',
  'gateway/webhooks/silent-receivers',
  'test/conformance/',
  'test/deploy/',
  'test/docs/',
  'test/end-to-end/',
  'test/faults/',
  'test/observability/',
  'test/package/',
  'test/page/',
  'test/stages/',
  'test/telemetry/',
  'test/tensorrt/',
  'triton-models/describe/infer-shapes',
  'triton-models/evaluation/',
  'triton-models/graphs/',
  'triton-models/packaging/',
  'triton-models/tensorrt/',
  'triton-models/verify/',
];

/** @param path where a test file's emitted code is */
export function isLong(path: string): boolean {
  const inPackage = path.slice(packageRoot.length).split(sep).join('/');
  return longTests.some((start) => inPackage.startsWith(`/dist/${start}`));
}
