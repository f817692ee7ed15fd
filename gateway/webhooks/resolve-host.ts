import type { LookupAddress } from 'node:dns';
import { lookup, Resolver } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';

/** Timeout of a query to one name server, milliseconds; the second attempt has twice as long. */
const queryMilliseconds = 2000;

/** Errors of name servers that are silent or refuse to answer, unlike servers that do not know the name. */
const silent = new Set(['ETIMEOUT', 'ECONNREFUSED', 'ESERVFAIL', 'EREFUSED']);

/** Sources of addresses. */
export interface NameSources {
  resolver: Pick<Resolver, 'resolve4' | 'resolve6'>;
  /** The system's own lookup. */
  lookup(host: string): Promise<LookupAddress[]>;
}

const systemSources: NameSources = {
  resolver: new Resolver({ timeout: queryMilliseconds, tries: 2 }),
  lookup: (host) => lookup(host, { all: true }),
};

let systemLookup: Promise<unknown> = Promise.resolve();

/**
 * Addresses of a host. The system's own lookup occupies one of the few threads that files are read and written on, so
 * four names with silent name servers would stop the whole process. It is used last, for one name at a time, and never
 * for a name whose servers were silent; names that only it knows (search domains, mDNS) are still found.
 */
export async function resolveHost(
  host: string,
  { resolver, lookup }: NameSources = systemSources,
): Promise<LookupAddress[]> {
  const listed = await inHostsFile(host);
  if (listed.length > 0) {
    return listed;
  }
  if (isIP(host) !== 0 || /(^|\.)localhost\.?$/i.test(host)) {
    return lookup(host);
  }
  const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
  const found = answers.flatMap((answer, index) =>
    answer.status === 'fulfilled' ? answer.value.map((address) => ({ address, family: index === 0 ? 4 : 6 })) : [],
  );
  if (found.length > 0) {
    return found;
  }
  const refusal = answers.find((answer) => answer.status === 'rejected' && silent.has(answer.reason.code));
  if (refusal) {
    throw (refusal as PromiseRejectedResult).reason;
  }
  const answer = systemLookup.then(() => lookup(host));
  systemLookup = answer.catch(() => {});
  return answer;
}

async function inHostsFile(host: string): Promise<LookupAddress[]> {
  const text = await readFile('/etc/hosts', 'utf8').catch(() => '');
  const name = host.toLowerCase().replace(/\.$/, '');
  return text.split('\n').flatMap((line) => {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().toLowerCase().split(/\s+/);
    return isIP(address) !== 0 && names.includes(name) ? [{ address, family: isIP(address) }] : [];
  });
}
