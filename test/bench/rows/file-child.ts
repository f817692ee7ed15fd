/*
 * Stores and reads a file in a process of its own, so that its largest resident set says what a file of this size needs.
 * Arguments: MiB, rounds. Writes one JSON object.
 */
import { Readable } from 'node:stream';
import { FolderStore } from '../../../gateway/storage/folder-store.ts';
import { Scope } from '../../../services/kit/scope.ts';
import { temporaryFolder } from '../../../services/kit/testing/temporary-folder.ts';
import { costOf } from '../bench.ts';

export interface FileRuns {
  /** Of each round. */
  processorSeconds: number[];
  /** The largest resident set. */
  mebibytes: number;
}

const [mebibytes = 0, rounds = 0] = process.argv.slice(2).map(Number);
const piece = new Uint8Array(64 << 10).fill(7);
const scope = new Scope();
const store = await FolderStore.open(temporaryFolder(scope));

const storeAndRead = async () => {
  await store.put('file', Readable.from(pieces(), { objectMode: false }), { mediaType: 'video/mp4' });
  for await (const _ of (await store.open('file')).stream) {
    // Only the cost counts.
  }
};

await storeAndRead();
const runs: FileRuns = { processorSeconds: [], mebibytes: 0 };
for (let round = 0; round < rounds; round++) {
  runs.processorSeconds.push((await costOf(storeAndRead)).processorSeconds);
}
await scope.close();
runs.mebibytes = process.resourceUsage().maxRSS / 1024;
process.stdout.write(JSON.stringify(runs));

function* pieces() {
  for (let sent = 0; sent < mebibytes << 20; sent += piece.length) {
    yield piece;
  }
}
