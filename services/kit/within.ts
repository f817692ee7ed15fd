import { Status } from 'nice-grpc-common';
import { FusionError } from './errors.ts';

/** The result of `work`, or DEADLINE_EXCEEDED with `problem` after `seconds`. The work itself goes on. */
export async function within<T>(seconds: number, problem: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new FusionError(Status.DEADLINE_EXCEEDED, `${problem} within ${seconds} s`, { reason: 'TOO_LATE' }));
    }, seconds * 1000);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
