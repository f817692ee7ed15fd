import { TcpProxy } from '../../test/support/tcp-proxy.ts';

/** An embedded server behind a TCP proxy that tests can disturb. */
export interface ProxiedDatabase {
  /** URL of the database, through the proxy. */
  url: string;
  proxy: TcpProxy;
}

/** Opens a proxy in front of the server at `url`, which listens on a socket. */
export async function openProxy(url: string): Promise<ProxiedDatabase> {
  const proxied = new URL(url);
  const { searchParams } = proxied;
  const proxy = await TcpProxy.start({ path: `${searchParams.get('host')}/.s.PGSQL.${searchParams.get('port')}` });
  searchParams.set('host', '127.0.0.1');
  searchParams.set('port', String(proxy.port));
  return { url: proxied.href, proxy };
}
