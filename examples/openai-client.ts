// Creates a video with the openai package, waits for it and downloads it. Usage: openai-client.js [prompt] [file]
import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';

const [prompt = 'a large red circle moving left on a navy background', file = 'video.mp4'] = process.argv.slice(2);
const url = process.env.FUSIONFRAMES_URL ?? 'http://127.0.0.1:8080';

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: process.env.FUSIONFRAMES_API_KEY ?? 'none' });

// `seed` and `frame_rate` are options of FusionFrames, which the package sends but does not know.
const request = { prompt, seed: 7, frame_rate: 'low' };
let video = await client.videos.create(request);
while (video.status === 'queued' || video.status === 'in_progress') {
  console.log(`${video.id}: ${video.status}, ${video.progress} %`);
  await sleep(1000);
  video = await client.videos.retrieve(video.id);
}
if (video.status !== 'completed') {
  throw new Error(`${video.id}: ${video.error?.message}`);
}

const content = await client.videos.downloadContent(video.id);
await writeFile(file, Buffer.from(await content.arrayBuffer()));
console.log(file);
