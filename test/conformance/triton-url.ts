import { Caller } from './caller.ts';

/** The address in a URL such as `grpc://localhost:8001`, or a plain address; undefined if empty. */
export function addressOf(url: string | undefined): string | undefined {
  return url?.replace(/^\w+:\/\//, '').replace(/\/$/, '') || undefined;
}

/** Address of the server that tests of a real one use. */
export const serverAddress = addressOf(process.env.TRITON_URL);

/** Whether the server at TRITON_URL serves a model; without that variable, or such a server, it doesn't. */
export async function isServing(model: string): Promise<boolean> {
  if (serverAddress === undefined) {
    return false;
  }
  const caller = new Caller(serverAddress);
  try {
    const { response } = await caller.unary({ name: 'ready', method: 'ModelReady', request: { name: model } });
    return response !== undefined;
  } finally {
    caller.close();
  }
}
