import { z } from 'zod';
import { clipMediaTypes, pictureMediaTypes } from '../../../services/kit/pictures.ts';
import { errorAnswer } from './http-error.ts';
import type { Answer, Route } from './route.ts';

/** Named schemas of the document; all others are inlined. */
export type NamedSchemas = Record<string, z.ZodType>;

const componentPath = '#/components/schemas/';

/** The OpenAPI 3.1 document of these routes. */
export function openApiDocument(routes: readonly Route[], version: string, named: NamedSchemas): object {
  const answers = { Error: errorAnswer, ...named };
  const names = new Map(Object.entries(answers).map(([name, schema]) => [schema as z.ZodType, name]));
  const paths: Record<string, Record<string, object>> = {};
  for (const each of routes) {
    const methods = (paths[each.path] ??= {});
    methods[each.method.toLowerCase()] = operation(each, names);
    if (each.head) {
      methods.head = { ...operation(each, names), operationId: `${each.name}Head` };
    }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'FusionFrames',
      version,
      description:
        'Text, and a picture, to video. Every error is `{error: {message, type, param, code}}`; every response has an x-request-id.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: './' }],
    paths,
    components: {
      schemas: componentSchemas(answers),
      securitySchemes: {
        key: { type: 'http', scheme: 'bearer', description: 'An API key; not needed while no key exists.' },
      },
    },
  };
}

function operation(route: Route, names: Map<z.ZodType, string>): object {
  const { params, query, headers, body } = route;
  return {
    operationId: route.name,
    summary: route.summary,
    security: route.scope ? [{ key: [] }] : [],
    parameters: [...parameters('path', params), ...parameters('query', query), ...parameters('header', headers)],
    ...(body && { requestBody: requestBody(body, route.bodyIsOptional) }),
    responses: {
      ...Object.fromEntries(
        Object.entries(route.answers).map(([status, answer]) => [status, response(answer, names, Number(status))]),
      ),
      default: response({ description: 'An error.', schema: errorAnswer }, names),
    },
  };
}

function parameters(place: 'path' | 'query' | 'header', fields: z.ZodObject | undefined): object[] {
  return Object.entries(fields?.shape ?? {}).map(([name, field]) => {
    const { description, ...schema } = inputSchema(field as z.ZodType);
    const required = !(field as z.ZodType).safeParse(undefined).success;
    const style = schema.type === 'object' ? { style: 'deepObject', explode: true } : {};
    return { name, in: place, required, ...style, ...(description !== undefined && { description }), schema };
  });
}

/** `a[b]` is field `b` of object `a`. */
const nested = { style: 'deepObject', explode: true };

function requestBody(body: z.ZodObject, isOptional = false): object {
  const schema = inputSchema(body);
  return {
    required: !isOptional,
    content: {
      'application/json': { schema },
      'application/x-www-form-urlencoded': { schema },
      'multipart/form-data': { schema, encoding: { webhook: nested, metadata: nested, ...filesIn(body) } },
    },
  };
}

function filesIn(body: z.ZodObject): object {
  const pictures = { contentType: pictureMediaTypes.join(', ') };
  const keyframes = { contentType: [...clipMediaTypes, ...pictureMediaTypes].join(', ') };
  return 'input_reference' in body.shape ? { input_reference: pictures, keyframes } : {};
}

function response({ description, schema, mediaTypes }: Answer, names: Map<z.ZodType, string>, status = 0): object {
  const name = schema && names.get(schema);
  const isError = status >= 400 && !schema;
  const content =
    isError || name ? { 'application/json': { schema: { $ref: `${componentPath}${isError ? 'Error' : name}` } } } : {};
  const files = Object.fromEntries((mediaTypes ?? []).map((type) => [type, {}]));
  const whole = { ...content, ...files };
  return { description, ...(Object.keys(whole).length > 0 && { content: whole }) };
}

function inputSchema(schema: z.ZodType): Record<string, unknown> {
  const document = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', override: keepDefault });
  return withoutDialect(document as Record<string, unknown>);
}

/** The library drops defaults of transformed values, because they might belong to the output. Ours belong to the input. */
function keepDefault({
  zodSchema,
  jsonSchema,
}: {
  zodSchema: z.core.$ZodType;
  jsonSchema: { default?: unknown };
}): void {
  const { default: value } = z.globalRegistry.get(zodSchema) ?? {};
  if (value !== undefined) {
    jsonSchema.default = value;
  }
}

function componentSchemas(named: NamedSchemas): Record<string, object> {
  const registry = z.registry<{ id: string }>();
  for (const [name, schema] of Object.entries(named)) {
    registry.add(schema, { id: name });
  }
  const { schemas } = z.toJSONSchema(registry, { io: 'output', uri: (id) => `${componentPath}${id}` });
  return Object.fromEntries(
    Object.entries(schemas).map(([name, schema]) => [name, withoutDialect(schema as Record<string, unknown>)]),
  );
}

/** The document itself declares the dialect and the location of its schemas. */
function withoutDialect({ $schema: _, $id: __, ...schema }: Record<string, unknown>): Record<string, unknown> {
  return schema;
}
