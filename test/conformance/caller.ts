import type { JsonValue } from '@bufbuild/protobuf';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { decode, encode, methodOf } from './codec.ts';
import type { Outcome, Step } from './exchanges.ts';

const callSeconds = 60;
const same = (bytes: Buffer) => bytes;

/** Makes the recorded calls, with messages built from the protocol's descriptors and nothing of this project's client. */
export class Caller {
  readonly #client: Client;

  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure(), {
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
    });
  }

  close(): void {
    this.#client.close();
  }

  /** A unary call of the step's method. */
  async unary({ method, request = {}, metadata = {} }: Step): Promise<Outcome> {
    const { path, input, output } = methodOf(method);
    const answer = await this.raw(path, encode(input, request), metadata);
    return answer.bytes ? { response: decode(output, answer.bytes) } : { error: answer.error! };
  }

  /** A unary call of any path with any bytes. */
  raw(
    path: string,
    bytes: Buffer,
    metadata: Record<string, string> = {},
  ): Promise<{ bytes?: Buffer; error?: { code: number; message: string } }> {
    return new Promise((resolve) => {
      this.#client.makeUnaryRequest(path, same, same, bytes, headers(metadata), deadline(), (error, answer) => {
        resolve(error ? { error: statusOf(error) } : { bytes: answer ?? Buffer.alloc(0) });
      });
    });
  }

  /** A call that is answered by a stream: the step's request, or its requests in the recorded pace. */
  stream(step: Step): Promise<Outcome> {
    const { path, input, output } = methodOf(step.method);
    const requests = (step.requests ?? [step.request ?? {}]).map((request) => encode(input, request));
    return new Promise((resolve) => {
      const responses: JsonValue[] = [];
      const call = this.#client.makeBidiStreamRequest(path, same, same, headers(step.metadata ?? {}), deadline());
      let written = 0;
      const writeNext = () => {
        if (written < requests.length) {
          call.write(requests[written++]!);
        } else {
          call.end();
        }
      };
      call.on('data', (bytes: Buffer) => {
        responses.push(decode(output, bytes));
        if (step.pacing === 'wait_each') {
          writeNext();
        }
      });
      call.on('error', (error: ServiceError) => resolve({ responses, end: statusOf(error) }));
      call.on('end', () => {});
      call.on('status', ({ code }) => {
        if (code === status.OK) {
          resolve({ responses, end: { code, message: '' } });
        }
      });
      if (step.pacing === 'wait_each') {
        writeNext();
      } else {
        for (const request of requests) {
          call.write(request);
        }
        call.end();
      }
    });
  }
}

function headers(entries: Record<string, string>): Metadata {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(entries)) {
    metadata.set(key, value);
  }
  return metadata;
}

function deadline(): { deadline: number } {
  return { deadline: Date.now() + callSeconds * 1000 };
}

function statusOf(error: ServiceError): { code: number; message: string } {
  return { code: error.code, message: error.details };
}
