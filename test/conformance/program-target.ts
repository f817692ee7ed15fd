import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Caller } from './caller.ts';
import { copyRepository, type StartTarget } from './target.ts';

const maxStartMilliseconds = 120_000;
// Triton may take a quarter of a minute to end in explicit mode, and nothing needs saving.
const maxStopMilliseconds = 5_000;

/**
 * Starts a program that takes Triton's flags, such as `tritonserver --backend-directory=…`, for each scenario.
 *
 * @param command the program and arguments that every start has, separated by blanks
 */
export function programStarter(command: string): StartTarget {
  return async (recording, scenario) => {
    const repository = copyRepository(recording, scenario);
    const port = await freePort();
    const [program = '', ...args] = command.split(/\s+/).filter((part) => part !== '');
    const address = `127.0.0.1:${port}`;
    const flags = [`--model-repository=${repository}`, '--grpc-address=127.0.0.1', `--grpc-port=${port}`];
    const child = spawn(program, [...args, ...flags, ...scenario.server_flags], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let lastOutput = '';
    child.stderr.on('data', (data: Buffer) => {
      lastOutput = `${lastOutput}${data}`.slice(-2000);
    });
    const ended = once(child, 'exit').then(([code]) => Number(code));
    const stop = async () => {
      child.kill('SIGTERM');
      const isDone = await Promise.race([ended.then(() => true), delay(maxStopMilliseconds, false, { ref: false })]);
      if (!isDone) {
        child.kill('SIGKILL');
        await ended;
      }
      rmSync(repository, { recursive: true, force: true });
    };
    try {
      await Promise.race([
        answers(address),
        ended.then((code) => {
          throw new Error(`${program} ended with code ${code}: ${lastOutput}`);
        }),
      ]);
    } catch (error) {
      await stop();
      throw error;
    }
    return { address, repository, stop };
  };
}

/** Resolves when the server is live, even if its models failed. */
async function answers(address: string): Promise<void> {
  const caller = new Caller(address);
  try {
    const deadline = Date.now() + maxStartMilliseconds;
    while (Date.now() < deadline) {
      const { response } = await caller.unary({ name: 'live', method: 'ServerLive' });
      if (JSON.stringify(response ?? {}).includes('true')) {
        return;
      }
      await delay(50);
    }
    throw new Error(`the server at ${address} is not live after ${maxStartMilliseconds / 1000} seconds`);
  } finally {
    caller.close();
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
