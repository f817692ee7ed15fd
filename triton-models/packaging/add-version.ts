import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  contentHash,
  contentParameter,
  type ManifestFiles,
  manifestName,
} from '../../services/pipeline/model-manifest.ts';
import { linkOrCopy } from './link-file.ts';
import { type Manifest, writeManifest } from './manifest.ts';
import { parameter } from './model-config.ts';

const configName = 'config.pbtxt';

/**
 * Puts a built version beside those that a model has, whose files are linked: `fresh`, which has the built version, becomes the
 * model's new folder. A server then loads all versions, and stages choose theirs by `FUSIONFRAMES_MODEL_VERSION`. Returns the new
 * manifest.
 *
 * @param existing the model's manifest
 * @param built the manifest of `fresh`
 */
export async function addVersion(
  model: string,
  fresh: string,
  version: number,
  { existing, built }: { existing: Manifest; built: Manifest },
): Promise<Manifest> {
  const number = String(version);
  for (const name of (await readdir(fresh)).filter((each) => each !== number)) {
    await rm(join(fresh, name), { recursive: true });
  }
  const own = [number, configName, manifestName];
  for (const name of (await readdir(model)).filter((each) => !own.includes(each))) {
    await linkAll(join(model, name), join(fresh, name));
  }
  const { versions = {}, files, ...first } = existing;
  const { files: added, versions: _, ...facts } = built;
  const kept = Object.entries(files).filter(([name]) => !name.startsWith(`${number}/`));
  const manifest: Manifest = {
    ...first,
    versions: { ...versions, [number]: facts },
    files: { ...Object.fromEntries(kept), ...ofVersion(added, number) },
  };
  const config = await readFile(join(model, configName), 'utf8');
  await writeFile(join(fresh, configName), servingAll(config, manifest));
  await writeManifest(fresh, manifest);
  return manifest;
}

/** Without recorded outputs, which lie beside the versions. */
function ofVersion(files: ManifestFiles, version: string): ManifestFiles {
  return Object.fromEntries(Object.entries(files).filter(([name]) => name.startsWith(`${version}/`)));
}

/** The configuration of a model that serves all of its versions. */
function servingAll(config: string, { versions = {}, files }: Manifest): string {
  const numbers = ['1', ...Object.keys(versions)].sort((a, b) => Number(a) - Number(b));
  const hash = (version: string) => contentHash(ofVersion(files, version));
  const lines = config.split('\n').filter((line) => !/^version_policy |^parameters \{ key: "content/.test(line));
  const place = lines.findIndex((line) => line.startsWith('max_batch_size')) + 1;
  // Without a version, a server chooses the highest.
  const contents = [
    parameter(contentParameter(), hash(numbers.at(-1)!)),
    ...numbers.map((version) => parameter(contentParameter(version), hash(version))),
  ];
  return [...lines.slice(0, place), 'version_policy { all { } }', ...lines.slice(place)].join('\n') + contents.join('');
}

async function linkAll(source: string, target: string): Promise<void> {
  if (!(await stat(source)).isDirectory()) {
    await linkOrCopy(source, target);
    return;
  }
  await mkdir(target);
  for (const name of await readdir(source)) {
    await linkAll(join(source, name), join(target, name));
  }
}
