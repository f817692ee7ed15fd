import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Caller, Scope } from '../../keys/caller.ts';

/** A response of a route. */
export interface Answer {
  description: string;
  /** Schema of a JSON body. */
  schema?: z.ZodType;
  /** Media types of any other body. */
  mediaTypes?: readonly string[];
}

/** A parsed and validated request. */
export interface Call<Params, Query, Headers, Body> {
  params: Params;
  query: Query;
  headers: Headers;
  body: Body;
  /** The authenticated caller. Undefined on a route without a scope, which must not read it. */
  caller: Caller;
  request: FastifyRequest;
  reply: FastifyReply;
  /** Aborts when the client disconnects or the response is complete. */
  signal: AbortSignal;
}

interface RouteFacts {
  method: 'GET' | 'POST' | 'DELETE';
  /** Path with OpenAPI parameters: `/v1/videos/{id}`. */
  path: string;
  /** The operation id in the OpenAPI document. */
  name: string;
  summary: string;
  /** Scope required of the API key; absent if no key is needed. */
  scope?: Scope;
  /** Responses by status, without the errors that every route can return. */
  answers: Record<number, Answer>;
  /** Maximum size of the body. Default: that of a request without a picture. */
  bodyLimit?: number;
  /** Whether a request without a body is one without fields. */
  bodyIsOptional?: true;
  /** Whether HEAD is answered like GET, without the body. Default: true for GET. */
  head?: boolean;
  /** Whether the response has an `ETag`; the handler then evaluates `If-Match` itself. */
  hasTag?: true;
}

/** A route, from which both the server and the OpenAPI document derive. */
export interface Route extends RouteFacts {
  params?: z.ZodObject;
  query?: z.ZodObject;
  headers?: z.ZodObject;
  body?: z.ZodObject;
  handle(call: Call<never, never, never, never>): Promise<unknown>;
}

type Parsed<S> = S extends z.ZodType ? z.output<S> : undefined;

/** Pairs a handler with the schemas of its input. */
export function route<
  P extends z.ZodObject | undefined = undefined,
  Q extends z.ZodObject | undefined = undefined,
  H extends z.ZodObject | undefined = undefined,
  B extends z.ZodObject | undefined = undefined,
>(
  facts: RouteFacts & { params?: P; query?: Q; headers?: H; body?: B },
  handle: (call: Call<Parsed<P>, Parsed<Q>, Parsed<H>, Parsed<B>>) => Promise<unknown>,
): Route {
  return { head: facts.method === 'GET', ...facts, handle } as unknown as Route;
}
