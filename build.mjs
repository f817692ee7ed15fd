// Builds the program: contracts become TypeScript (proto/gen), TypeScript becomes JavaScript, and declarations for what
// package.json exports and the page reads (dist). What is up to date is left alone, so that every npm script can begin with a build.
// Options, such as --noCheck, are the compiler's.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(fileURLToPath(import.meta.url));
// Windows runs a package's commands by their .cmd files.
const isWindows = process.platform === 'win32';
const inRoot = (...names) => join(root, ...names);
const filesIn = (folder) =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
        .sort()
    : [];

generateContracts();
const options = process.argv.slice(2);
run('tsc', '--build', '.', 'tsconfig.declarations.json', ...options);
// A separate run, because the one above would have looked for the declarations before they existed.
run('tsc', '--build', 'gateway/page', ...options);
copyPageFiles();
removeOrphans();

function generateContracts() {
  const sources = filesIn(inRoot('proto')).filter((path) => /\.(proto|yaml)$/.test(path));
  const generators = ['@bufbuild/buf', 'ts-proto'].map((name) => inRoot('node_modules', name, 'package.json'));
  const hash = createHash('sha256');
  for (const path of [...sources, ...generators]) {
    hash.update(path.slice(root.length)).update(readFileSync(path));
  }
  const digest = hash.digest('hex');
  const stamp = inRoot('proto', 'gen', '.sources');
  const descriptors = inRoot('dist', 'proto', 'gen', 'descriptors.binpb');
  const ofConfig = inRoot('dist', 'proto', 'gen', 'model-config.binpb');
  const isBuilt = [descriptors, ofConfig, stamp].every((path) => existsSync(path));
  if (isBuilt && readFileSync(stamp, 'utf8') === digest) {
    return;
  }
  rmSync(inRoot('proto', 'gen'), { recursive: true, force: true });
  run('buf', 'generate', 'proto', '--template', 'proto/buf.gen.yaml', '--output', 'proto');
  mkdirSync(dirname(descriptors), { recursive: true });
  run('buf', 'build', 'proto', '-o', descriptors);
  // Read at every start of an inference server, ten times as fast as all of them.
  const configFile = 'proto/inference/model_config.proto';
  run('buf', 'build', 'proto', '--path', configFile, '--exclude-source-info', '-o', ofConfig);
  writeFileSync(stamp, digest);
}

/** Copies what the browser needs besides the compiled modules. */
function copyPageFiles() {
  for (const name of ['index.html', 'admin.html', 'icon.svg', 'styles']) {
    cpSync(inRoot('gateway', 'page', name), inRoot('dist', 'gateway', 'page', name), { recursive: true });
  }
}

/** Removes the output of deleted sources: a test that was moved would run twice. */
function removeOrphans() {
  for (const path of filesIn(inRoot('dist')).filter((name) => /\.(js|js\.map|d\.ts)$/.test(name))) {
    const source = path.replace(inRoot('dist'), root).replace(/\.(js|js\.map|d\.ts)$/, '.ts');
    if (!existsSync(source)) {
      rmSync(path);
    }
  }
}

function run(command, ...args) {
  try {
    execFileSync(inRoot('node_modules', '.bin', command), args, { cwd: root, stdio: 'inherit', shell: isWindows });
  } catch (error) {
    // The command has said why.
    process.exit(error.status ?? 1);
  }
}
