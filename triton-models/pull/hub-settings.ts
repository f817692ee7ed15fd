import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { checkedText, readSettings, type Setting, text, type Values } from '../../services/kit/settings.ts';

/** Environment variables for fetching from the Hugging Face Hub. */
export const hubSettings = {
  endpoint: {
    name: 'HF_ENDPOINT',
    description: 'Address of the Hugging Face Hub or a mirror',
    schema: z
      .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
      .transform((url) => url.replace(/\/+$/, ''))
      .default('https://huggingface.co'),
  },
  token: {
    name: 'HF_TOKEN',
    description: "Access token for the hub; empty: the one saved by the hub's own program (HF_HOME), or none",
    schema: text(''),
    isSecret: true,
  },
  tokenPath: {
    name: 'HF_TOKEN_PATH',
    description: "File with the token saved by the hub's own program; empty: `token` in HF_HOME",
    schema: text(''),
  },
  home: {
    name: 'HF_HOME',
    description: "Folder of the hub's own program; empty: `huggingface` in the user's cache",
    schema: text(''),
  },
  disableKeptToken: {
    name: 'HF_HUB_DISABLE_IMPLICIT_TOKEN',
    description: "1: do not send the token saved by the hub's own program",
    schema: text(''),
  },
  httpProxy: {
    name: 'HTTP_PROXY',
    description: 'Proxy for http addresses, such as `http://user:password@proxy:3128`; also as `http_proxy`',
    schema: proxy(),
    isSecret: true,
  },
  httpsProxy: {
    name: 'HTTPS_PROXY',
    description: 'Proxy for https addresses; empty: that of HTTP_PROXY; also as `https_proxy`',
    schema: proxy(),
    isSecret: true,
  },
  noProxy: {
    name: 'NO_PROXY',
    description: 'Hosts that are reached without a proxy, separated by commas; `*`: all; also as `no_proxy`',
    schema: text(''),
  },
} satisfies Record<string, Setting<unknown>>;

/** Throws INVALID_ARGUMENT naming the settings at fault. */
export function readHubSettings(environment = process.env): Values<typeof hubSettings> {
  const proxies = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'];
  // Most programs know only the lower-case names, or prefer them.
  const lowerCase = proxies.map((name) => [name, environment[name.toLowerCase()] || environment[name]]);
  return readSettings(hubSettings, { ...environment, ...Object.fromEntries(lowerCase) });
}

function proxy() {
  return checkedText('', (url) =>
    URL.canParse(url) && /^https?:$/.test(new URL(url).protocol) ? undefined : 'must be an http or https URL',
  );
}

/**
 * The token stored by `hf auth login`; empty if there is none or it must not be sent.
 *
 * @param cache the user's cache folder
 */
export function keptToken(
  { tokenPath, home, disableKeptToken }: Record<'tokenPath' | 'home' | 'disableKeptToken', string>,
  cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache'),
): string {
  if (/^(1|on|yes|true)$/i.test(disableKeptToken)) {
    return '';
  }
  try {
    return readFileSync(tokenPath || join(home || join(cache, 'huggingface'), 'token'), 'utf8').trim();
  } catch {
    return '';
  }
}
