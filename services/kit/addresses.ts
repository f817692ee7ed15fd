export interface HostPort {
  /** The host, without the brackets of an IPv6 address. */
  host: string;
  port: number;
}

/** Splits `host:port` or `[IPv6 address]:port`; undefined for anything else. Port 0 means any free port. */
export function parseHostPort(address: string): HostPort | undefined {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:/\s[\]]+)):(\d{1,5})$/.exec(address) ?? [];
  const host = bracketed ?? plain;
  return host === undefined || Number(port) > 65_535 ? undefined : { host, port: Number(port) };
}

/** Replaces the port of a `host:port`. */
export function withPort(address: string, port: number): string {
  return address.replace(/:\d+$/, `:${port}`);
}

/** Whether a server can listen there: `host:port` or `unix:///absolute/path`. */
export function isListenAddress(address: string): boolean {
  return isSocketAddress(address) || parseHostPort(address) !== undefined;
}

/** What {@link isServerAddress} allows, besides `ipv6:` with several addresses. */
export const serverAddressRule = 'host:port, dns:///host:port, ipv4:host:port,host:port or unix:///path';

/** Whether a client can call it: `host:port`, `dns:///host:port`, `ipv4:a:1,b:2`, `ipv6:[a]:1,[b]:2` or `unix:///absolute/path`. */
export function isServerAddress(address: string): boolean {
  const [, hosts] = /^(?:dns:\/\/\/|ipv[46]:)?(.*)$/.exec(address)!;
  return isSocketAddress(address) || hosts!.split(',').every((host) => (parseHostPort(host)?.port ?? 0) > 0);
}

function isSocketAddress(address: string): boolean {
  return /^unix:\/\/\/./.test(address);
}
