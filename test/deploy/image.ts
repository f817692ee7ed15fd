import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { chmod, cp, mkdir, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { packageRoot } from '../../services/kit/package-root.ts';
import { makeTemporaryFolder } from '../../services/kit/temporary-folder.ts';
import { buildInContext } from './build-context.ts';

export interface Running {
  /** Resolves when it reports that it serves or exits with 0. Otherwise rejects with its output. */
  serving: Promise<void>;
  child: ChildProcess;
  /** SIGTERM, then its exit code. */
  stop(): Promise<number | null>;
}

const dockerfile = readFileSync(join(packageRoot, 'deploy', 'Dockerfile'), 'utf8');
const [, ...nodeOptions] = (JSON.parse(/^ENTRYPOINT (.+)$/m.exec(dockerfile)![1]!) as string[]).slice(0, -1);

/** The content of the Dockerfile's image in a folder, with the same layout, run like its entrypoint. */
export class Image {
  /** A folder for the processes' files. */
  readonly folder: string;
  readonly #children = new Set<ChildProcess>();

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** From the existing build. */
  static async create(): Promise<Image> {
    const image = await Image.#empty();
    await layOut(packageRoot, join(image.folder, 'app'));
    return image;
  }

  /** From a build like the Dockerfile's first stage. */
  static async build(): Promise<Image> {
    const image = await Image.#empty();
    const context = join(image.folder, 'context');
    await buildInContext(context);
    await layOut(context, join(image.folder, 'app'));
    return image;
  }

  static async #empty(): Promise<Image> {
    const folder = makeTemporaryFolder();
    // PostgreSQL does not run as root and must be able to enter.
    await chmod(folder, 0o755);
    return new Image(folder);
  }

  start(args: readonly string[], environment: Record<string, string>): Running {
    const child = spawn(
      process.execPath,
      [...nodeOptions, join(this.folder, 'app', 'dist', 'cli', 'main.js'), ...args],
      {
        cwd: this.folder,
        env: { PATH: process.env.PATH!, HOME: this.folder, TMPDIR: this.folder, ...environment },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    this.#children.add(child);
    let errors = '';
    child.stderr.on('data', (data) => (errors += data));
    const closed = once(child, 'close').then(() => {
      this.#children.delete(child);
      return child.exitCode;
    });
    const serving = new Promise<void>((resolve, reject) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (/ is serving on \S+$/.test(line)) {
          resolve();
        }
      });
      void closed.then((code) =>
        code === 0 ? resolve() : reject(new Error(`${args.join(' ')} ended with ${code}: ${errors}`)),
      );
    });
    serving.catch(() => {});
    const stop = () => {
      child.kill('SIGTERM');
      return closed;
    };
    return { serving, child, stop };
  }

  async remove(): Promise<void> {
    for (const child of this.#children) {
      child.kill('SIGKILL');
    }
    await rm(this.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

async function layOut(built: string, target: string): Promise<void> {
  const copies = [...dockerfile.matchAll(/^COPY --from=build (.+)$/gm)].map(([, words]) => words!.split(' '));
  for (const words of copies) {
    const to = words.at(-1)!;
    for (const from of words.slice(0, -1).map((path) => path.replace('/app/', ''))) {
      const place = join(target, to.endsWith('/') ? join(to, from) : to);
      await mkdir(dirname(place), { recursive: true });
      if (from === 'node_modules') {
        await symlink(join(packageRoot, from), place);
      } else {
        await cp(join(built, from), place, { recursive: true, filter: (path) => !path.includes('manifests-') });
      }
    }
  }
}
