import { rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { makeTemporaryFolder } from '../../services/kit/temporary-folder.ts';
import type { Graph } from '../graphs/graph.ts';
import { linkOrCopy } from '../packaging/link-file.ts';
import { ModelSession, type SessionOptions } from '../session/model-session.ts';

/**
 * Loads a graph from a temporary folder with its weight files, for the duration of `use`. Throws FAILED_PRECONDITION if
 * ONNX Runtime rejects it.
 */
export async function withModel<T>(
  graph: Pick<Graph, 'encode'>,
  weightsFiles: readonly string[],
  use: (session: ModelSession) => Promise<T>,
  options: SessionOptions = {},
): Promise<T> {
  const folder = makeTemporaryFolder();
  try {
    for (const path of weightsFiles) {
      await linkOrCopy(path, join(folder, basename(path)));
    }
    const modelPath = join(folder, 'model.onnx');
    await writeFile(modelPath, graph.encode());
    const session = await ModelSession.open(modelPath, options);
    try {
      return await use(session);
    } finally {
      await session.close();
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}
