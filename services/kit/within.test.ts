import { expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { within } from './within.ts';

test('work that settles in time is passed on', async () => {
  await expect(within(60, 'It was not done', Promise.resolve(7))).resolves.toBe(7);
  await expect(within(60, 'It was not done', Promise.reject(new Error('broken')))).rejects.toThrow('broken');
});

test('hanging work is abandoned', async () => {
  const hanging = within(0.01, 'It was not done', new Promise(() => {}));
  await expect(hanging).rejects.toMatchObject({
    code: Status.DEADLINE_EXCEEDED,
    message: 'It was not done within 0.01 s',
  });
});
