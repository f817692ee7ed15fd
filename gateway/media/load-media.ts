import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';

/**
 * Loads the libraries that encode videos and pictures, before any of our modules that use them. A gateway does it when it starts, so
 * that one that lacks a binary does not start: it would fail every job. Throws FAILED_PRECONDITION naming the package.
 */
export async function loadMedia(): Promise<void> {
  await load('@napi-rs/webcodecs', async () => {
    const { VideoEncoder } = await import('@napi-rs/webcodecs');
    // Seen once in hundreds of starts, for unknown reasons: only another process can load it again.
    if (typeof VideoEncoder !== 'function') {
      throw new Error('it exports no VideoEncoder: start again');
    }
  });
  // By itself it keeps the pixels of up to 100 recent operations, which are never repeated.
  await load('sharp', async () => (await import('sharp')).default.cache(false));
}

async function load(name: string, load: () => Promise<unknown>): Promise<void> {
  try {
    await load();
  } catch (error) {
    // The rest of it lists what to try, or the modules that required the missing one.
    const [firstLine] = String((error as Error).message).split('\n');
    const message =
      `Videos cannot be encoded: the package ${name} cannot be loaded on ${process.platform} ${process.arch} (${firstLine}); ` +
      'reinstall with optional dependencies, on the machine type that runs the gateway (see docs/cli.md)';
    throw new FusionError(Status.FAILED_PRECONDITION, message, { reason: 'NO_ENCODER', cause: error });
  }
}
