import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { z } from 'zod';
import { shorten } from '../../services/kit/errors.ts';
import { plainText } from '../../services/kit/plain-text.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';

/** What the moderation service decided. */
export type Answer = { verdict: 'allow' } | { verdict: 'refuse'; reason: string };

export interface ModeratorCall {
  url: string;
  /** Empty: none. */
  token: string;
  /** Sent as JSON. */
  question: object;
  signal: AbortSignal;
}

/** Maximum size of an answer, in bytes. */
const maxAnswerBytes = 64 << 10;
/** Reasons are stored with the job and shown to its caller, so they are kept short; in characters. */
const maxReasonLength = 300;

const answerSchema = z.object({ verdict: z.enum(['allow', 'refuse']), reason: z.string().nullish() });

/**
 * Asks the moderation service once, without following redirects. Throws an error whose message reads after "The
 * moderation service".
 */
export async function askModerator({ url, token, question, signal }: ModeratorCall): Promise<Answer> {
  const body = JSON.stringify(question);
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'user-agent': 'FusionFrames',
    accept: 'application/json',
    ...(token && { authorization: `Bearer ${token}` }),
  };
  const response = await post(url, headers, body, signal);
  try {
    if (response.statusCode !== 200) {
      throw new Error(`answered ${response.statusCode} (expected 200)`);
    }
    return readAnswer(await readBody(response));
  } finally {
    response.destroy();
  }
}

function post(
  url: string,
  headers: Record<string, string | number>,
  body: string,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const request = url.startsWith('https:') ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    // A new connection each time: a pooled one that the service has just closed would fail the call.
    const call = request(url, { method: 'POST', headers, agent: false, signal }, resolve);
    call.on('error', (error: NodeJS.ErrnoException) =>
      reject(new Error(`could not be reached (${error.message || error.code})`, { cause: error })),
    );
    call.end(body);
  });
}

async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxAnswerBytes) {
        break;
      }
      chunks.push(chunk);
    }
  } catch (error) {
    throw new Error(`stopped in the middle of its answer (${reasonOf(error)})`, { cause: error });
  }
  if (bytes > maxAnswerBytes) {
    throw new Error(`answered with more than ${maxAnswerBytes} bytes`);
  }
  return Buffer.concat(chunks).toString();
}

function readAnswer(body: string): Answer {
  const parsed = answerSchema.safeParse(parseJson(body));
  if (!parsed.success) {
    throw new Error('did not answer with a JSON object whose `verdict` is allow or refuse');
  }
  const { verdict, reason } = parsed.data;
  const shown = shorten(plainText(reason ?? '').trim(), maxReasonLength);
  return verdict === 'allow' ? { verdict } : { verdict, reason: shown || 'no reason given' };
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
