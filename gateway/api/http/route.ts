import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Caller, Scope } from '../../keys/caller.ts';

/** One kind of answer that a route gives. */
export interface Answer {
  description: string;
  /** Of a JSON body. */
  schema?: z.ZodType;
  /** Media types of another body. */
  mediaTypes?: readonly string[];
}

/** A parsed and validated request, as a handler gets it. */
export interface Call<Params, Query, Headers, Body> {
  params: Params;
  query: Query;
  headers: Headers;
  body: Body;
  /** The authenticated caller. Undefined on a route without a scope, which must not read it. */
  caller: Caller;
  request: FastifyRequest;
  reply: FastifyReply;
  /** Aborts when the client is gone or the response complete. */
  signal: AbortSignal;
}

interface RouteFacts {
  method: 'GET' | 'POST' | 'DELETE';
  /** With parameters as OpenAPI writes them: `/v1/videos/{id}`. */
  path: string;
  /** The operation's name in the OpenAPI document. */
  name: string;
  summary: string;
  /** Scope that the API key needs; absent: no key is needed. */
  scope?: Scope;
  /** By status, without the errors that every route can return. */
  answers: Record<number, Answer>;
  /** Whether HEAD is answered as GET without the body. Default: of a GET. */
  head?: boolean;
  /** Whether its answer has an `ETag`, which it compares with `If-Match` itself. */
  hasTag?: true;
}

/** A route: the source of both the server and the OpenAPI document. */
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
