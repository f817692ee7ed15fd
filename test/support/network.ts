import { type LyingBucket, startLyingBucket } from '../../gateway/testing/lying-bucket.ts';
import { openProxy } from '../../gateway/testing/proxied-database.ts';
import { Scope } from '../../services/kit/scope.ts';
import { stageNames } from '../../services/pipeline/stages.ts';
import { TcpProxy } from './tcp-proxy.ts';

/** Destinations of a fleet's calls. */
export const linkKinds = [...stageNames, 'inference', 'database', 'bucket'] as const;
export type LinkKind = (typeof linkKinds)[number];

/** The network between the processes of a fleet, their database and a bucket: every connection goes through a proxy. */
export class Network {
  readonly #scope = new Scope();
  readonly #links = new Map<LinkKind, TcpProxy[]>();
  readonly bucket: LyingBucket;

  private constructor(bucket: LyingBucket) {
    this.bucket = this.#scope.add(bucket);
  }

  static async start(): Promise<Network> {
    return new Network(await startLyingBucket());
  }

  /** One proxy for each replica. */
  get links(): ReadonlyMap<LinkKind, readonly TcpProxy[]> {
    return this.#links;
  }

  /** The address under which others reach `listen`, `host:port`. */
  async addressOf(kind: LinkKind, listen: string): Promise<string> {
    const proxy = await TcpProxy.start({ host: '127.0.0.1', port: Number(listen.split(':').at(-1)) });
    return `127.0.0.1:${this.#add(kind, proxy).port}`;
  }

  /** Settings with which a gateway reaches the database at `url` (on a socket) and the bucket. */
  async gatewayEnvironment(url: string): Promise<Record<string, string>> {
    const database = await openProxy(url);
    this.#add('database', database.proxy);
    return {
      DATABASE_URL: database.url,
      FUSIONFRAMES_STORAGE: 's3://chaos',
      AWS_ENDPOINT_URL_S3: `http://${await this.addressOf('bucket', this.bucket.endpoint)}`,
      AWS_ACCESS_KEY_ID: 'chaos',
      AWS_SECRET_ACCESS_KEY: 'chaos',
    };
  }

  close(): Promise<void> {
    return this.#scope.close();
  }

  #add(kind: LinkKind, proxy: TcpProxy): TcpProxy {
    this.#links.set(kind, [...(this.#links.get(kind) ?? []), this.#scope.add(proxy)]);
    return proxy;
  }
}
