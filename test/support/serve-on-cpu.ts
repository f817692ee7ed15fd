import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Lets a repository that was built for TensorRT be served by ONNX Runtime: the same graphs, weights and warm-ups on the CPU. */
export async function serveOnCpu(repository: string): Promise<void> {
  for (const model of (await readdir(repository, { withFileTypes: true })).filter((entry) => entry.isDirectory())) {
    const path = join(repository, model.name, 'config.pbtxt');
    const text = (await readFile(path, 'utf8')).replace('"tensorrt"', '"onnxruntime"');
    await writeFile(path, text.replace(/kind: KIND_GPU, profile: \[[^\]]*\]/, 'kind: KIND_CPU'));
  }
}
