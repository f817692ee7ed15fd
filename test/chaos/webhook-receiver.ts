import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';

/** The first call about every n-th job is answered with an error. */
const refusedJobs = 3;

/** What was received about a job. */
export interface ReceivedCalls {
  /** Ids of the calls; a repeated call has the same one. */
  ids: Set<string>;
  /** Types of the events that were answered with 200. */
  accepted: string[];
}

/** Receives the webhooks of all jobs and remembers them. */
export class WebhookReceiver {
  readonly #server: Server;
  readonly #calls = new Map<number, ReceivedCalls>();

  private constructor() {
    this.#server = createServer(async (request, response) => {
      const job = Number(request.url!.slice(1));
      const { id, type } = (await json(request)) as { id: string; type: string };
      const calls = this.callsFor(job);
      const isRefused = job % refusedJobs === 0 && calls.ids.size === 0;
      calls.ids.add(id);
      if (!isRefused) {
        calls.accepted.push(type);
      }
      response.writeHead(isRefused ? 503 : 200).end();
    });
  }

  static async start(): Promise<WebhookReceiver> {
    const receiver = new WebhookReceiver();
    await once(receiver.#server.listen(0, '127.0.0.1'), 'listening');
    return receiver;
  }

  /** Where calls about a job go. */
  urlOf(job: number): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/${job}`;
  }

  callsFor(job: number): ReceivedCalls {
    const calls = this.#calls.get(job) ?? { ids: new Set(), accepted: [] };
    this.#calls.set(job, calls);
    return calls;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
