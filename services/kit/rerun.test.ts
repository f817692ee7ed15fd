import { expect, test } from '@jest/globals';
import { deferred } from './deferred.ts';
import { Rerun } from './rerun.ts';

test('a request during a run causes one more run', async () => {
  const runs = [deferred(), deferred(), deferred()];
  let begun = 0;
  const work = new Rerun(
    () => runs[begun++]!.promise,
    () => {},
  );
  await work.idle();
  work.run();
  work.run();
  work.run();
  expect(begun).toBe(1);
  runs[0]!.resolve();
  runs[1]!.resolve();
  await work.idle();
  expect(begun).toBe(2);
  runs[2]!.resolve();
  work.run();
  await work.idle();
  expect(begun).toBe(3);
});

test('a failure is reported and does not prevent the next run', async () => {
  const failures: unknown[] = [];
  let begun = 0;
  const work = new Rerun(
    async () => {
      begun++;
      if (begun === 1) {
        work.run();
        throw new Error('no');
      }
    },
    (error) => failures.push(error),
  );
  work.run();
  await work.idle();
  expect([begun, failures.length]).toEqual([2, 1]);
});
