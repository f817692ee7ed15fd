import { afterAll, expect, test } from '@jest/globals';
import { Validator } from '@seriousme/openapi-schema-validator';
import { stopTestServer } from '../../testing/data.ts';
import { withHttp } from '../../testing/http.ts';

afterAll(stopTestServer);

test('the document is valid OpenAPI 3.1 and covers every served path', () =>
  withHttp(async (http) => {
    const { json } = await http.send('/openapi.json');
    expect(await new Validator().validate(structuredClone(json))).toMatchObject({ valid: true });
    expect(
      Object.entries(json.paths)
        .flatMap(([path, methods]) => Object.keys(methods as object).map((method) => `${method} ${path}`))
        .sort(),
    ).toEqual([
      'delete /v1/videos/{id}',
      'get /health',
      'get /healthz',
      'get /openapi.json',
      'get /readyz',
      'get /v1/admin/actions',
      'get /v1/admin/failures',
      'get /v1/admin/gateways',
      'get /v1/admin/keys',
      'get /v1/admin/keys/{key}',
      'get /v1/admin/queue',
      'get /v1/admin/videos',
      'get /v1/models',
      'get /v1/models/{id}',
      'get /v1/presets',
      'get /v1/usage',
      'get /v1/videos',
      'get /v1/videos/{id}',
      'get /v1/videos/{id}/content',
      'get /v1/videos/{id}/events',
      'head /health',
      'head /healthz',
      'head /openapi.json',
      'head /readyz',
      'head /v1/admin/actions',
      'head /v1/admin/failures',
      'head /v1/admin/gateways',
      'head /v1/admin/keys',
      'head /v1/admin/keys/{key}',
      'head /v1/admin/queue',
      'head /v1/admin/videos',
      'head /v1/models',
      'head /v1/models/{id}',
      'head /v1/presets',
      'head /v1/usage',
      'head /v1/videos',
      'head /v1/videos/{id}',
      'head /v1/videos/{id}/content',
      'post /v1/admin/gateways/{name}/drain',
      'post /v1/admin/gateways/{name}/pause',
      'post /v1/admin/gateways/{name}/resume',
      'post /v1/admin/keys',
      'post /v1/admin/keys/{key}',
      'post /v1/admin/keys/{key}/revoke',
      'post /v1/admin/videos/{id}/priority',
      'post /v1/videos',
      'post /v1/videos/batch',
      'post /v1/videos/{id}/cancel',
      'post /v1/videos/{id}/finish',
      'post /v1/videos/{id}/remix',
    ]);
    const { prompt, steps, seed } =
      json.paths['/v1/videos'].post.requestBody.content['application/json'].schema.properties;
    expect(prompt).toMatchObject({ type: 'string', minLength: 1, maxLength: 10_000 });
    expect(steps.anyOf[0].anyOf[0]).toMatchObject({ type: 'integer', minimum: 1, maximum: 1000 });
    expect(JSON.stringify(seed)).toContain('"type":"string"');
  }));
