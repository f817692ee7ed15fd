import type { KeptResults } from '../triton-models/metrics/kept-results.ts';
import { reportInterruption } from './interrupt.ts';

/** Ends a command that was interrupted or failed, saying what of its work is kept. Throws the failure. */
export async function reportKept(error: unknown, interrupted: AbortSignal, kept: KeptResults): Promise<void> {
  const isThere = await kept.close();
  const message = `cancelled: results of finished videos are kept in ${kept.path}; run the same command to continue\n`;
  reportInterruption(error, interrupted, isThere ? message : 'cancelled\n');
}
