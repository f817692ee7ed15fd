import { z } from 'zod';
import { type Setting, text } from '../services/kit/settings.ts';

/** Settings of clients of a gateway. */
export const clientSettings = {
  apiKey: {
    name: 'FUSIONFRAMES_API_KEY',
    description: 'API key that `generate`, `jobs`, `mcp` and `usage` send to the gateway',
    // Metadata takes printable ASCII only, and a key read from a file may end with a line break.
    schema: z
      .string()
      .trim()
      .regex(/^[\x21-\x7e]*$/, 'must be a key printed by `keys create`')
      .default(''),
    isSecret: true,
  },
  webhookSecret: {
    name: 'FUSIONFRAMES_WEBHOOK_SECRET',
    description: 'Secret with which the gateway signs the calls of `--webhook`',
    schema: z
      .string()
      .trim()
      .regex(/^[\x20-\x7e]{1,256}$/, 'must be at most 256 printable ASCII characters')
      .default(''),
    isSecret: true,
  },
  tlsServerName: {
    name: 'FUSIONFRAMES_TLS_SERVER_NAME',
    description:
      "Name in the certificate of the server, where it is reached under another one, such as through `kubectl port-forward`; empty: the address's",
    schema: text('').refine((name) => /^[A-Za-z0-9.-]{0,253}$/.test(name), 'must be a host name'),
  },
} satisfies Record<string, Setting<unknown>>;
