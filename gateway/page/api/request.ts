import { ApiError, readError } from './api-error.ts';
import { apiKey, askForKey } from './api-key.ts';
import { setReachable } from './connection.ts';

/** Time for a response to begin, and for a JSON body to end after that, milliseconds. */
const answerTimeout = 30_000;

export interface ApiRequest {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  signal?: AbortSignal;
}

/**
 * Sends a request to the gateway, with the API key if there is one. Throws an {@link ApiError} for an error status or no
 * response. After a 401 it asks for a key and tries again.
 */
export async function request(path: string, { signal, headers, ...init }: ApiRequest = {}): Promise<Response> {
  const key = apiKey();
  const authorization: Record<string, string> = key ? { authorization: `Bearer ${key}` } : {};
  const response = await withinTimeout(signal, (bounded) =>
    fetch(path, { ...init, headers: { ...headers, ...authorization }, signal: bounded, credentials: 'omit' }),
  );
  if (response.status === 401) {
    await askForKey(key);
    return request(path, { ...init, ...(headers && { headers }), ...(signal && { signal }) });
  }
  if (!response.ok) {
    throw await readError(response);
  }
  return response;
}

export async function requestJson<T>(path: string, options: Omit<ApiRequest, 'signal'> = {}): Promise<T> {
  const reading = new AbortController();
  const response = await request(path, { ...options, signal: reading.signal });
  const timer = setTimeout(() => reading.abort(), answerTimeout);
  try {
    return (await response.json()) as T;
  } catch {
    throw new ApiError(0, "The gateway's response was interrupted.");
  } finally {
    clearTimeout(timer);
  }
}

async function withinTimeout(
  signal: AbortSignal | undefined,
  run: (signal: AbortSignal) => Promise<Response>,
): Promise<Response> {
  // The timeout ends when the response begins: a body may stream for any length of time.
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(), answerTimeout);
  try {
    const response = await run(signal ? AbortSignal.any([signal, timeout.signal]) : timeout.signal);
    setReachable(true);
    return response;
  } catch {
    signal?.throwIfAborted();
    setReachable(false);
    throw new ApiError(0, 'The gateway cannot be reached.');
  } finally {
    clearTimeout(timer);
  }
}
