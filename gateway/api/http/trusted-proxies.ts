import { BlockList, isIP } from 'node:net';

/** Addresses and networks (CIDR), separated by commas; none when the list is malformed. */
export function parseProxies(list: string): BlockList | undefined {
  const proxies = new BlockList();
  const entries = list.split(',').map((entry) => entry.trim());
  for (const entry of entries.filter((each) => each !== '')) {
    const [address = '', bits, ...rest] = entry.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    const maxBits = family === 'ipv6' ? 128 : 32;
    const prefix = bits === undefined ? maxBits : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN;
    if (isIP(address) === 0 || rest.length > 0 || !(prefix <= maxBits)) {
      return undefined;
    }
    proxies.addSubnet(address, prefix, family);
  }
  return proxies;
}
