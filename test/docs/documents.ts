import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../services/kit/package-root.ts';

/** Folders with installed packages, build output or fixtures. */
const others = ['bench', 'dist', 'node_modules', 'test'];

export interface DocumentText {
  /** Relative to the repository's root. */
  path: string;
  text: string;
}

/** Every Markdown file of the repository, except fixtures and installed packages. */
export function readDocuments(): DocumentText[] {
  const paths = readdirSync(packageRoot, { withFileTypes: true })
    .filter(({ name }) => !name.startsWith('.') && !others.includes(name))
    .flatMap((entry) => (entry.isDirectory() ? filesIn(entry.name) : [entry.name]));
  return paths.filter((path) => path.endsWith('.md')).map((path) => ({ path, text: readDocument(path) }));
}

function filesIn(folder: string): string[] {
  return readdirSync(join(packageRoot, folder), { recursive: true, encoding: 'utf8' }).map((path) =>
    join(folder, path).replaceAll('\\', '/'),
  );
}

export function readDocument(path: string): string {
  return readFileSync(join(packageRoot, path), 'utf8');
}

/** Anchors of a document's headings, as GitHub generates them. */
export function anchors(text: string): string[] {
  const prose = text.replace(/^```.*?^```/gms, '');
  return [...prose.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  );
}
