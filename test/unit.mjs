// Runs the tests that start no server, database or process: those that do not depend on what starts one.
import { spawnSync } from 'node:child_process';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const starters = [
  'services/kit/serve',
  'services/inference/execution/model-instance',
  'gateway/api/http/start-http',
  'gateway/database/open-database',
  'gateway/database/embedded/embedded-postgres',
  'triton-models/session/model-session',
  'test/support/cli',
].map((path) => join('dist', `${path}.js`));
/** Tests that start a process or a server by themselves. */
const others = ['dist/test/', 'dist/gateway/storage/', 'dist/gateway/media/', 'dist/triton-models/pull/'];

const started = new Set(list('--findRelatedTests', ...starters));
const tests = list().filter((path) => !started.has(path) && !others.some((folder) => path.startsWith(folder)));
const { status } = jest(['inherit', 'inherit', 'inherit'], '--runTestsByPath', ...tests, ...process.argv.slice(2));
process.exit(status ?? 1);

/** Paths of tests, from the project's folder. */
function list(...options) {
  const { stdout } = jest(['ignore', 'pipe', 'inherit'], '--listTests', ...options);
  return stdout
    .split('\n')
    .filter((path) => path.endsWith('.test.js'))
    .map((path) => relative(root, path));
}

function jest(stdio, ...options) {
  const program = join(root, 'node_modules', 'jest', 'bin', 'jest.js');
  return spawnSync(process.execPath, [program, ...options], { cwd: root, stdio, encoding: 'utf8' });
}
