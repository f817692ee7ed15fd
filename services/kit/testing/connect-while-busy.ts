import { Worker } from 'node:worker_threads';

const connectAll = `
  const { parentPort, workerData: { port, count, done } } = require('node:worker_threads');
  const { connect } = require('node:net');
  const sockets = Array.from({ length: count }, () => connect(port, '127.0.0.1'));
  let connected = 0;
  for (const socket of sockets) {
    socket.on('error', () => {});
    socket.on('connect', () => {
      if (++connected === count) {
        Atomics.store(done, 0, 1);
        Atomics.notify(done, 0);
      }
    });
  }
  parentPort.on('message', () => {
    sockets.forEach((socket) => socket.destroy());
    parentPort.close();
  });`;

/** Whether this many clients can connect to a server of this process within ten seconds in which it accepts none of them. */
export async function connectWhileBusy(address: string, count: number): Promise<boolean> {
  const port = Number(address.split(':').at(-1));
  const done = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(connectAll, { eval: true, workerData: { port, count, done } });
  await new Promise((resolve) => worker.once('online', resolve));
  const waited = Atomics.wait(done, 0, 0, 10_000);
  const ended = new Promise((resolve) => worker.once('exit', resolve));
  worker.postMessage('end');
  await ended;
  return waited !== 'timed-out';
}
