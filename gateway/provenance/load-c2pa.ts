import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';

export const c2paPackage = '@contentauth/c2pa-node';

/**
 * The C2PA library. Loaded only when videos are signed or verified: its binary is large, and it is an optional
 * dependency. Throws INVALID_ARGUMENT if package or binary are missing.
 *
 * @param reason what needs it: a setting or command
 */
export async function loadC2pa(reason: string): Promise<typeof import('@contentauth/c2pa-node')> {
  try {
    const library = await import('@contentauth/c2pa-node');
    // The binary itself is loaded by the first call.
    library.Builder.new();
    return library;
  } catch (error) {
    const message = `${reason} needs the package ${c2paPackage} and its binary for ${process.platform} ${process.arch}, which cannot be loaded; see docs/provenance.md (${firstLine(error)})`;
    throw new FusionError(Status.INVALID_ARGUMENT, message, { reason: 'NO_C2PA', cause: error });
  }
}

/** The error of a missing module lists the modules that required it. */
function firstLine(error: unknown): string {
  return String((error as Error).message).split('\n')[0]!;
}
