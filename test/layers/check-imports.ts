import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { codeOf } from './code-of.ts';
import { findCircles } from './find-circles.ts';
import { anything, layers, layerTypes, packages, packageTypes } from './layers.ts';

/** An import in a source file, relative to the project. */
export interface Import {
  from: string;
  /** A file, or the name of a package. */
  to: string;
  isPackage?: boolean;
  /** Without effect at run time. */
  isTypeOnly?: boolean;
  /** `to` is only how it is loaded: what it is appears at run time. */
  isHidden?: boolean;
}

const importPattern =
  /^\s*(?:import|export)( type)?\b[^'";]*?\bfrom\s+'([^']+)'|^\s*import\s+'([^']+)'|\bimport\(\s*'([^']+)'/gm;

/** `require` and dynamic imports that take no literal. */
const hiddenPattern = /\bcreateRequire\b|(?<![.\w])require(?=\()|(?<![.\w])import(?=\(\s*[^\s'])/g;

/** Imports of a source's text, without Node's own modules. */
export function importsIn(from: string, text: string): Import[] {
  const code = codeOf(text);
  return [...namedImports(from, code), ...hiddenImports(from, code)];
}

function hiddenImports(from: string, code: string): Import[] {
  const withoutTexts = code.replaceAll(/(['"])(?:\\.|(?!\1)[^\\\n])*\1/g, '$1$1');
  const found = new Set([...withoutTexts.matchAll(hiddenPattern)].map(([to]) => to));
  return [...found].map((to) => ({ from, to, isHidden: true }));
}

function namedImports(from: string, code: string): Import[] {
  return [...code.matchAll(importPattern)].flatMap(([, type, named, bare, dynamic]) => {
    const name = (named ?? bare ?? dynamic)!;
    const isTypeOnly = type !== undefined;
    if (name.startsWith('.')) {
      return [{ from, to: sourceOf(normalize(join(dirname(from), name)).replaceAll('\\', '/')), isTypeOnly }];
    }
    return name.startsWith('node:') ? [] : [{ from, to: packageOf(name), isTypeOnly, isPackage: true }];
  });
}

/** The page reads declarations that the build makes. */
function sourceOf(path: string): string {
  return path.replace(/^dist\/(.*)\.d\.ts$/, '$1.ts');
}

function packageOf(name: string): string {
  return name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/');
}

/** Every import in the project's TypeScript, without those of generated code. */
export function readImports(root: string): Import[] {
  const folders = ['services', 'gateway', 'triton-models', 'cli', 'examples', 'test'];
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .map((name) => `${folder}/${name.replaceAll('\\', '/')}`)
      .filter((path) => path.endsWith('.ts') && !path.includes('/fixtures/'))
      .flatMap((path) => importsIn(path, readFileSync(join(root, path), 'utf8'))),
  );
}

/** Violations of the rules, one sentence each. */
export function faultsOf(imports: readonly Import[]): string[] {
  const [hidden, named] = [imports.filter(({ isHidden }) => isHidden), imports.filter(({ isHidden }) => !isHidden)];
  const refused = named.filter((each) => !(each.isPackage ? isAllowedPackage(each) : isAllowedFile(each)));
  const circles = findCircles(named.filter(({ isPackage }) => !isPackage).map(({ from, to }) => [from, to]));
  return [
    ...hidden.map(({ from, to }) => `${from} must import modules by literal names (got ${to})`),
    ...refused.map(({ from, to }) => `${from} must not import ${to} (see test/layers/layers.ts)`),
    ...circles.map((circle) => `these files must not import each other: ${circle.join(' → ')}`),
  ];
}

/** Rules for things that do not exist (any more), and packages without a rule. One sentence each. */
export function staleRules(imports: readonly Import[], root: string): string[] {
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: object };
  const folders = [...Object.keys(layers), ...Object.values(layers).flat(), ...Object.values(layerTypes).flat()];
  const used = (to: string, room: string) => imports.some((each) => each.to === to && isWithin(each.from, room));
  return [
    ...[...new Set(folders)].filter((path) => !existsSync(join(root, path))).map((path) => `${path} does not exist`),
    ...Object.keys(dependencies)
      .filter((name) => !(name in packages))
      .map((name) => `no rule says which folders may import ${name}`),
    ...[...Object.entries(packages), ...Object.entries(packageTypes)].flatMap(([name, rooms]) =>
      rooms.filter((room) => room !== '' && !used(name, room)).map((room) => `${room} does not import ${name}`),
    ),
  ];
}

function isAllowedFile({ from, to, isTypeOnly }: Import): boolean {
  if (isTest(to) && !isTest(from)) {
    return false;
  }
  const [layer, target] = [layerOf(from), layerOf(to)];
  if (layer === target || anything.includes(layer) || (layers[layer]?.includes(target) ?? false)) {
    return true;
  }
  if (isTypeOnly && layerTypes[layer]?.includes(to)) {
    return true;
  }
  // Tests may use neighbouring real parts and shared test code.
  const isBeside = from.split('/')[0] === to.split('/')[0] || to.startsWith('proto/');
  return isTest(from) && (isBeside || isTest(to) || allowedInTests.some((each) => isWithin(to, each)));
}

/** Code shared by the whole project, and the reader of video files. */
const allowedInTests = ['services/kit', 'services/pipeline', 'triton-models/metrics/open-clip.ts'];

function isAllowedPackage({ from, to, isTypeOnly }: Import): boolean {
  const rooms = [...(packages[to] ?? []), ...(isTypeOnly ? (packageTypes[to] ?? []) : [])];
  return isTest(from) || rooms.some((room) => isWithin(from, room));
}

function isTest(path: string): boolean {
  return /\.test\.ts$|\/testing(?:\/|\.ts$)/.test(path) || path.startsWith('test/');
}

function layerOf(path: string): string {
  const found = [...Object.keys(layers), ...anything].filter((name) => isWithin(path, name));
  return found.sort((a, b) => b.length - a.length)[0] ?? path;
}

function isWithin(path: string, room: string): boolean {
  return room === '' || path === room || path.startsWith(`${room}/`);
}
