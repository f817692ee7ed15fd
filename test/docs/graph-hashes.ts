import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { packageRoot } from '../../services/kit/package-root.ts';
import { loadPreset, type Preset } from '../../services/pipeline/preset.ts';
import { ParameterList } from '../../triton-models/checkpoints/parameter-list.ts';
import { Graph } from '../../triton-models/graphs/graph.ts';
import { servedModels } from '../../triton-models/packaging/served-models.ts';

/** They have every network and most variants of one; those of published weights in full size. */
const presets = [
  'nano',
  'nano-masked-frames',
  'kandinsky-video-1.0-temporal-decoder',
  'kandinsky-video-1.1',
  join(packageRoot, 'test', 'fixtures', 'presets', 'tiny.json'),
  join(packageRoot, 'test', 'fixtures', 'presets', 'tiny-1.1.json'),
];

/** The SHA-256 of each graph, without where its weights are, so that a change to a graph is never unintended. */
export function graphHashes(): string {
  const hashes = presets.map((name) => {
    const preset = loadPreset(name);
    return [preset.name, hashesOf(preset)];
  });
  return `${JSON.stringify(Object.fromEntries(hashes), null, 2)}\n`;
}

function hashesOf(preset: Preset): Record<string, string> {
  const hashes = servedModels(preset).map(({ name, build }) => {
    const graph = new Graph(name, new ParameterList());
    build(graph);
    return [name, createHash('sha256').update(graph.encode()).digest('hex')];
  });
  return Object.fromEntries(hashes);
}
