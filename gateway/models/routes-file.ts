import { fileVersion, watchSeconds } from '../../services/kit/file-version.ts';
import type { Logger } from '../../services/kit/log.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';
import type { Routes } from './models.ts';
import { type FileRoutes, presetFiles, readRoutes } from './read-routes.ts';

/** Routes that may change while a gateway runs. */
export interface RouteChanges {
  /** Calls `apply` with the routes after every change, until {@link close}. */
  follow(apply: (routes: Routes) => void, log: Logger): void;
  /** Whether the latest routes are invalid, so that earlier ones stay in use. */
  readonly isInvalid: boolean;
  close(): void;
}

export interface RoutesFileOptions {
  path: string;
  /** The setting that names the file. */
  setting: string;
  /** Adds what depends on the weights. */
  complete(routes: FileRoutes): Promise<Routes>;
  /** Between checks of the file. Default 5. */
  seconds?: number;
}

/**
 * A file of routes. It is read again when it or one of its preset files changes. If it has become invalid, that is
 * logged, and the previous routes stay in use.
 */
export class RoutesFile implements RouteChanges {
  readonly #options: RoutesFileOptions;
  #version: string;
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  #isClosed = false;
  isInvalid = false;
  /** As read at the start. */
  readonly routes: Routes;

  /** Throws INVALID_ARGUMENT naming the file, the field and what is allowed. */
  static async open(options: RoutesFileOptions): Promise<RoutesFile> {
    const version = await versionOf(options.path);
    return new RoutesFile(options, version, await options.complete(readRoutes(options.path, options.setting)));
  }

  private constructor(options: RoutesFileOptions, version: string, routes: Routes) {
    this.#options = options;
    this.#version = version;
    this.routes = routes;
  }

  follow(apply: (routes: Routes) => void, log: Logger): void {
    const { seconds = watchSeconds } = this.#options;
    this.#timer = setInterval(() => void this.#look(apply, log), seconds * 1000).unref();
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
  }

  async #look(apply: (routes: Routes) => void, log: Logger): Promise<void> {
    if (this.#isLooking) {
      return;
    }
    this.#isLooking = true;
    try {
      const version = await versionOf(this.#options.path);
      if (version !== this.#version) {
        await this.#read(version, apply, log);
      }
    } finally {
      this.#isLooking = false;
    }
  }

  async #read(version: string, apply: (routes: Routes) => void, log: Logger): Promise<void> {
    const { path, setting, complete } = this.#options;
    try {
      const routes = await complete(readRoutes(path, setting));
      const latest = await versionOf(path);
      // If the files changed between two reads, the next check gets a complete set.
      if (this.#isClosed || version !== latest) {
        return;
      }
      apply(routes);
      this.isInvalid = false;
    } catch (error) {
      if (this.#isClosed) {
        return;
      }
      this.isInvalid = true;
      log.error({ file: path }, `${reasonOf(error)}; the previous routes stay in use`);
    }
    this.#version = version;
  }
}

function versionOf(path: string): Promise<string> {
  return fileVersion([path, ...presetFiles(path)]);
}
