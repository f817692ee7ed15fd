import { execFileSync } from 'node:child_process';
import { cp, readFile, symlink } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { packageRoot } from '../../services/kit/package-root.ts';

/**
 * Builds like the Dockerfile: copies the part of the checkout that `.dockerignore` allows to `folder`, with the packages
 * installed and the outputs built here. The build makes the program again, and declarations, page and contracts only if their
 * sources differ, which takes a third of the time; it removes the outputs of sources that are not there.
 */
export async function buildInContext(folder: string): Promise<void> {
  const isIgnored = await readIgnored();
  await cp(packageRoot, folder, {
    recursive: true,
    preserveTimestamps: true,
    filter: (path) => !isIgnored(relative(packageRoot, path)),
  });
  const page = join(packageRoot, 'dist', 'gateway', 'page');
  for (const built of ['dist', join('proto', 'gen')]) {
    await cp(join(packageRoot, built), join(folder, built), {
      recursive: true,
      preserveTimestamps: true,
      filter: (path) => path.startsWith(page) || !/(\.js|\.js\.map|\/tsconfig\.tsbuildinfo)$/.test(path),
    });
  }
  await symlink(join(packageRoot, 'node_modules'), join(folder, 'node_modules'));
  const [, build] = /^RUN (npm run build)\b/m.exec(await readFile(join(packageRoot, 'deploy', 'Dockerfile'), 'utf8'))!;
  // The types were checked when this test was built.
  execFileSync('sh', ['-c', `${build} -- --noCheck`], {
    cwd: folder,
    stdio: 'pipe',
    env: { ...process.env, NODE_OPTIONS: '' },
  });
}

/** Whether Docker ignores a path, relative to the context; the last matching pattern decides. */
async function readIgnored(): Promise<(path: string) => boolean> {
  const lines = (await readFile(join(packageRoot, '.dockerignore'), 'utf8')).split('\n');
  const patterns = lines
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => ({ ignores: !line.startsWith('!'), pattern: expression(line.replace(/^!/, '')) }));
  return (path) => patterns.findLast(({ pattern }) => pattern.test(path))?.ignores ?? false;
}

/** A pattern with `*` (within a name) and a leading `**`/ (in any folder). */
function expression(pattern: string): RegExp {
  const [, anywhere = '', rest = ''] = /^(\*\*\/)?(.*)$/.exec(pattern)!;
  const text = rest.replaceAll('.', '\\.').replaceAll('*', '[^/]*');
  return new RegExp(`^${anywhere && '(?:.*/)?'}${text}(?:/|$)`);
}
