// Creates a video with fusionframes/client over gRPC, follows it and downloads it. Usage: fusionframes-client.js [prompt] [file]
import { writeFile } from 'node:fs/promises';
import { connectGrpc } from 'fusionframes/client';

const [prompt = 'a large red circle moving left on a navy background', file = 'video.mp4'] = process.argv.slice(2);
const address = process.env.FUSIONFRAMES_ADDRESS ?? '127.0.0.1:50050';
const apiKey = process.env.FUSIONFRAMES_API_KEY;

const client = connectGrpc({ address, ...(apiKey && { apiKey }) });
try {
  const { id } = await client.create({ prompt, seed: 7n, frameRate: 'low' });
  for await (const { state, stages, failure } of client.watch(id)) {
    const stage = stages.at(-1);
    console.log(`${id}: ${state}${stage ? `, ${stage.stage} ${stage.step}/${stage.total}` : ''}`);
    if (failure) {
      throw new Error(failure.message);
    }
  }
  await writeFile(file, await client.download(id));
  console.log(file);
} finally {
  client.close();
}
