import { expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { integer, oneOf, readSettings, text } from './settings.ts';

const settings = {
  port: { name: 'PORT', description: 'a port', schema: integer(80, 1, 65_535) },
  level: { name: 'LEVEL', description: 'a level', schema: oneOf(['low', 'high'], 'low') },
  name: { name: 'NAME', description: 'a name', schema: text('x') },
};

test('absent and empty variables take the default', () => {
  expect(readSettings(settings, { PORT: '' })).toEqual({ port: 80, level: 'low', name: 'x' });
});

test('values are parsed', () => {
  expect(readSettings(settings, { PORT: '8080', LEVEL: 'high', NAME: 'y' })).toEqual({
    port: 8080,
    level: 'high',
    name: 'y',
  });
});

test('one error names every variable at fault, its value and what is allowed', () => {
  let thrown: unknown;
  try {
    readSettings(settings, { PORT: '0', LEVEL: 'loud' });
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toMatchObject({
    code: Status.INVALID_ARGUMENT,
    message: 'PORT="0": a whole number from 1 to 65535 is allowed; LEVEL="loud": one of low, high is allowed',
  });
});
