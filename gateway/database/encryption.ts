import { choices } from '../../services/kit/errors.ts';

/** How a connection to the database is encrypted. */
export interface Encryption {
  /** The server's certificate must be valid for its host. */
  isVerified: boolean;
  /** Continues without TLS if the server has none. */
  isOptional: boolean;
  /** TLS from the first byte, without PostgreSQL's request for it (PostgreSQL 17 or newer). */
  isDirect: boolean;
}

const modes: Readonly<Record<string, Pick<Encryption, 'isVerified' | 'isOptional'> | undefined>> = {
  disable: undefined,
  allow: { isVerified: false, isOptional: true },
  prefer: { isVerified: false, isOptional: true },
  require: { isVerified: false, isOptional: false },
  'verify-ca': { isVerified: true, isOptional: false },
  'verify-full': { isVerified: true, isOptional: false },
};

/**
 * The TLS parameters of a database URL: libpq's, and the driver's own `ssl`. Additional certificate authorities come
 * from Node's NODE_EXTRA_CA_CERTS.
 */
const parameters: Readonly<Record<string, readonly string[]>> = {
  sslmode: Object.keys(modes),
  sslnegotiation: ['postgres', 'direct'],
  sslrootcert: ['system'],
  ssl: ['true', 'false'],
};

export const encryptionParameters = Object.keys(parameters);

/** What is wrong with the parameters, worded to follow the URL's name. */
export function encryptionFault({ searchParams }: URL): string | undefined {
  for (const [name, allowed] of Object.entries(parameters)) {
    const value = searchParams.get(name);
    if (value !== null && !allowed.includes(value)) {
      return `must have an ${name} that is ${choices(allowed)}`;
    }
  }
  return undefined;
}

/** The encryption that a valid URL asks for; `undefined` means none. */
export function readEncryption({ searchParams }: URL): Encryption | undefined {
  const isAsked = searchParams.has('sslrootcert') || searchParams.get('ssl') === 'true';
  const mode = searchParams.get('sslmode') ?? (isAsked ? 'verify-full' : 'disable');
  const encryption = modes[mode];
  return encryption && { ...encryption, isDirect: searchParams.get('sslnegotiation') === 'direct' };
}
