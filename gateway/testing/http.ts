import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import type { VideoObject } from '../api/http/video-object.ts';
import { type TestGateway, type TestOptions, withGateway } from './gateway.ts';

export interface HttpRequest {
  method?: string;
  headers?: Record<string, string>;
  /** Sent as it is; an object is sent as JSON. */
  body?: string | Uint8Array | FormData | ReadableStream | object;
}

export interface HttpAnswer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the server says; its form was checked against the document.
  json: any;
  bytes: Buffer;
}

export interface TestHttp extends TestGateway {
  /** `http://host:port`. */
  base: string;
  /** Makes a request and validates its response against the OpenAPI document. */
  send(path: string, request?: HttpRequest): Promise<HttpAnswer>;
  /** Creates a small video. */
  make(fields?: object, headers?: Record<string, string>): Promise<VideoObject>;
  /** The video, once it has ended. */
  ended(id: string, headers?: Record<string, string>): Promise<VideoObject>;
}

let checkAnswer: ReturnType<typeof answerChecker> | undefined;

/** Runs `use` with a gateway whose HTTP responses are all validated. */
export function withHttp(use: (http: TestHttp) => Promise<void>, options: TestOptions = {}): Promise<void> {
  return withGateway(
    async (gateway) => {
      const base = `http://${gateway.server.httpAddress}`;
      // Every gateway serves the same document, and compiling it is slow.
      checkAnswer ??= answerChecker((await (await fetch(`${base}/openapi.json`)).json()) as Document);
      const check = checkAnswer;
      const send = async (path: string, { method = 'GET', headers = {}, body }: HttpRequest = {}) => {
        const isPlain = body !== undefined && Object.getPrototypeOf(body) === Object.prototype;
        const response = await fetch(`${base}${path}`, {
          method,
          headers: { ...(isPlain && { 'content-type': 'application/json' }), ...headers },
          redirect: 'manual',
          ...(body !== undefined && { body: isPlain ? JSON.stringify(body) : (body as string) }),
        });
        const bytes = Buffer.from(await response.arrayBuffer());
        const isJson = response.headers.get('content-type')?.startsWith('application/json') && bytes.length > 0;
        const answer = {
          status: response.status,
          headers: response.headers,
          json: isJson ? JSON.parse(String(bytes)) : undefined,
          bytes,
        };
        check(method, path.split('?')[0]!, answer);
        return answer;
      };
      const small = { prompt: 'a red circle', steps: 3, interpolation_steps: 2, frame_rate: 'low' };
      await use({
        ...gateway,
        base,
        send,
        async make(fields = {}, headers = {}) {
          return (await send('/v1/videos', { method: 'POST', body: { ...small, ...fields }, headers })).json;
        },
        async ended(id, headers = {}) {
          await (await fetch(`${base}/v1/videos/${id}/events`, { headers })).text();
          return (await send(`/v1/videos/${id}`, { headers })).json;
        },
      });
    },
    { httpAddress: '127.0.0.1:0', ...options },
  );
}

interface Operation {
  responses: Record<string, { content?: Record<string, { schema?: { $ref: string } }> }>;
}

interface Document {
  paths: Record<string, Record<string, Operation>>;
}

/** Throws if a response contradicts the document. */
function answerChecker(document: Document) {
  const ajv = new Ajv2020({ strict: true, allErrors: true });
  ajv.addSchema({ ...document, $id: 'api' } as object, 'api');
  ajv.addVocabulary(['openapi', 'info', 'servers', 'paths', 'components']);
  const validators = new Map<string, ValidateFunction>();
  const templates = Object.entries(document.paths).map(
    ([path, methods]) => [new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}$`), methods] as const,
  );
  return (method: string, path: string, { status, headers, json, bytes }: HttpAnswer) => {
    const told = `${method} ${path}: ${status} ${String(bytes.subarray(0, 300))}`;
    if (!/^req_[0-9a-f]{24}$/.test(headers.get('x-request-id') ?? '')) {
      throw new Error(`${told}: no x-request-id`);
    }
    const operation = templates.find(([pattern]) => pattern.test(path))?.[1][method.toLowerCase()];
    const answers = operation?.responses ?? {
      default: { content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } } },
    };
    const answer = answers[status] ?? (status >= 400 ? answers.default : undefined);
    if (!answer) {
      throw new Error(`${told}: a status that the document does not have`);
    }
    const type = headers.get('content-type')?.split(';')[0];
    if (type === undefined ? answer.content : !answer.content?.[type]) {
      throw new Error(`${told}: ${type}, where the document has ${Object.keys(answer.content ?? {})}`);
    }
    const reference = type && answer.content?.[type]?.schema?.$ref;
    if (reference && method !== 'HEAD') {
      const validate = validators.get(reference) ?? ajv.compile({ $ref: `api${reference}` });
      validators.set(reference, validate);
      if (!validate(json)) {
        throw new Error(`${told}: ${ajv.errorsText(validate.errors)}`);
      }
    }
  };
}
