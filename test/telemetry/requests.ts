import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { expect } from '@jest/globals';

export const prompt = 'a large red circle moving left on a navy background';
/** What {@link makeWithPreview} continues. */
export const callersTrace = '0af7651916cd43dd8448eb211c80319c';
export const callersSpan = 'b7ad6b7169203331';

export interface Job {
  id: string;
  status: string;
}

/** More connections than the gateway accepts from one address: it closes one. */
export async function openTooMany(address: string): Promise<void> {
  const sockets = Array.from({ length: 9 }, () => connect(Number(address.split(':')[1]), '127.0.0.1'));
  await Promise.race(sockets.map((socket) => once(socket.resume(), 'close')));
  for (const socket of sockets) {
    socket.destroy();
  }
}

/** A job with a preview over HTTP, from a caller with its own trace. */
export async function makeWithPreview(address: string): Promise<Job> {
  const body = JSON.stringify({ prompt, steps: 3, interpolation_steps: 2, previews: true });
  const headers = { 'content-type': 'application/json', traceparent: `00-${callersTrace}-${callersSpan}-01` };
  const created = await fetch(`http://${address}/v1/videos`, { method: 'POST', headers, body });
  return await ended(address, (await created.json()) as Job);
}

/** A job that reuses the keyframes of another one. */
export async function finish(address: string, id: string): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ frame_rate: 'low' });
  const created = await fetch(`http://${address}/v1/videos/${id}/finish`, { method: 'POST', headers, body });
  await ended(address, (await created.json()) as Job);
}

async function ended(address: string, video: Job): Promise<Job> {
  let latest = video;
  while (['queued', 'in_progress'].includes(latest.status)) {
    await pause(200);
    latest = (await (await fetch(`http://${address}/v1/videos/${video.id}`)).json()) as Job;
  }
  return latest;
}

/** A video with far more steps than its deadline allows. Until a forecast knows the first video's times, it is accepted. */
export async function requestTooSoon(address: string): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  let answer: { id?: string; error: object | null };
  for (;;) {
    const deadline = Math.ceil(Date.now() / 1000) + 1;
    const body = JSON.stringify({ prompt, steps: 1000, interpolation_steps: 1000, deadline });
    const response = await fetch(`http://${address}/v1/videos`, { method: 'POST', headers, body });
    answer = (await response.json()) as typeof answer;
    if (answer.id === undefined) {
      break;
    }
    await fetch(`http://${address}/v1/videos/${answer.id}`, { method: 'DELETE' });
    await pause(500);
  }
  expect(answer).toMatchObject({ error: { param: 'deadline', code: 'deadline_hopeless' } });
}

/** A long video that is paused for a more urgent one. */
export async function pauseOne(address: string): Promise<void> {
  const create = async (body: object) => {
    const headers = { 'content-type': 'application/json' };
    const sent = { method: 'POST', headers, body: JSON.stringify({ prompt, frame_rate: 'low', ...body }) };
    return (await (await fetch(`http://${address}/v1/videos`, sent)).json()) as Job & { pauses: number };
  };
  const read = async () => (await (await fetch(`http://${address}/v1/videos/${long.id}`)).json()) as typeof long;
  const long = await create({ steps: 1000 });
  while ((await read()).status !== 'in_progress') {
    await pause(100);
  }
  const urgent = await create({ steps: 1, priority: 100 });
  while ((await read()).pauses === 0) {
    await pause(100);
  }
  await fetch(`http://${address}/v1/videos/${long.id}`, { method: 'DELETE' });
  await ended(address, urgent);
}
