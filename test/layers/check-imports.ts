import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { anything, exceptions, layers } from './layers.ts';

/** An import in a source file; both paths are relative to the project. */
export interface Import {
  from: string;
  to: string;
}

const importPattern = /^(?:import|export)\b[^'"]*?\bfrom '(\.[^']+)'|^import '(\.[^']+)'|\bimport\('(\.[^']+)'\)/gm;

/** Relative imports of a source's text. */
export function importsIn(from: string, text: string): Import[] {
  return [...text.matchAll(importPattern)].map(([, named, bare, dynamic]) => ({
    from,
    to: normalize(join(dirname(from), (named ?? bare ?? dynamic)!)).replaceAll('\\', '/'),
  }));
}

/** Every import in the project's TypeScript; the page is a separate build. */
export function readImports(root: string): Import[] {
  const folders = ['services', 'gateway', 'triton-models', 'cli', 'test'];
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .map((name) => `${folder}/${name.replaceAll('\\', '/')}`)
      .filter((path) => path.endsWith('.ts') && !path.startsWith('gateway/page/') && !path.includes('/fixtures/'))
      .flatMap((path) => importsIn(path, readFileSync(join(root, path), 'utf8'))),
  );
}

/** Violations of the rules, one sentence each. */
export function faultsOf(imports: readonly Import[]): string[] {
  const used = new Set<string>();
  const faults = imports.flatMap(({ from, to }) => {
    if (isAllowed(from, to)) {
      return [];
    }
    const exception = exceptions.find(([file, target]) => from.startsWith(file) && to.startsWith(target));
    if (exception) {
      used.add(exception.join());
      return [];
    }
    return [`${from} must not import ${to} (see test/layers/layers.ts)`];
  });
  const unused = exceptions.filter((exception) => !used.has(exception.join()));
  return [...faults, ...unused.map((exception) => `the exception ${exception.join(' → ')} is not needed any more`)];
}

function isAllowed(from: string, to: string): boolean {
  if (isTest(to) && !isTest(from)) {
    return false;
  }
  const [layer, target] = [layerOf(from), layerOf(to)];
  if (layer === target || anything.includes(layer) || (layers[layer]?.includes(target) ?? false)) {
    return true;
  }
  // Tests may use neighbouring real parts and shared test code.
  const isBeside = from.split('/')[0] === to.split('/')[0] || to.startsWith('proto/');
  return isTest(from) && (isBeside || isTest(to) || allowedInTests.some((each) => to.startsWith(each)));
}

/** Code shared by the whole project. */
const allowedInTests = ['services/kit/', 'services/pipeline/'];

function isTest(path: string): boolean {
  return /\.test\.ts$|\/testing(?:\/|\.ts$)/.test(path) || path.startsWith('test/');
}

function layerOf(path: string): string {
  const names = [...Object.keys(layers), ...anything];
  const found = names.filter((name) => path === name || path.startsWith(`${name}/`));
  return found.sort((a, b) => b.length - a.length)[0] ?? path;
}
