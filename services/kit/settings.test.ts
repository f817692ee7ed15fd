import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { integer, oneOf, readSettings, text } from './settings.ts';
import { temporaryFolder } from './testing/temporary-folder.ts';
import { scopeOfAllTests } from './testing/test-scope.ts';

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

test('one error names every variable at fault, its value and what it must be', () => {
  let thrown: unknown;
  try {
    readSettings(settings, { PORT: '0', LEVEL: 'loud' });
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toMatchObject({
    code: Status.INVALID_ARGUMENT,
    message: '`PORT` must be a whole number from 1 to 65535 (got "0"); `LEVEL` must be one of low, high (got "loud")',
  });
});

describe('a secret', () => {
  const secret = {
    word: { name: 'WORD', description: 'a word', schema: oneOf(['open sesame'], 'open sesame'), isSecret: true },
  } as const;
  const folder = temporaryFolder(scopeOfAllTests());
  let path: string;
  beforeAll(() => {
    path = join(folder, 'word');
  });

  test('comes from a file as well', () => {
    writeFileSync(path, 'open sesame\n');
    expect(readSettings(secret, { WORD_FILE: path })).toEqual({ word: 'open sesame' });
    expect(readSettings(secret, { WORD: 'open sesame', WORD_FILE: '' })).toEqual({ word: 'open sesame' });
  });

  test('is never shown in errors', () => {
    writeFileSync(path, 'abracadabra');
    for (const environment of [{ WORD: 'abracadabra' }, { WORD_FILE: path }]) {
      expect(() => readSettings(secret, environment)).toThrow(/^`WORD` must be one of open sesame$/);
    }
  });

  test('comes from exactly one readable place', () => {
    expect(() => readSettings(secret, { WORD: 'x', WORD_FILE: path })).toThrow(
      'set either WORD or WORD_FILE, not both',
    );
    expect(() => readSettings(secret, { WORD_FILE: join(folder, 'none') })).toThrow(
      /^`WORD_FILE` must be a readable file: no such file or directory .*none/,
    );
  });

  test('other settings cannot come from a file', () => {
    expect(readSettings(settings, { NAME_FILE: path })).toMatchObject({ name: 'x' });
  });
});
