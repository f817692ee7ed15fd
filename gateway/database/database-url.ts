import { encryptionFault } from './encryption.ts';

/** What is wrong with a database URL. Never quotes `text`, which may contain a password. */
export function databaseUrlFault(text: string): string | undefined {
  const format = 'must be of the form postgres://user:password@host:port/database';
  if (!URL.canParse(text) || !/^postgres(ql)?:\/\//.test(text)) {
    return format;
  }
  const url = new URL(text);
  try {
    decodeURIComponent(url.username + url.password + url.pathname);
  } catch {
    return `${format}, with % itself written as %25`;
  }
  return url.hostname === '' && !url.searchParams.has('host') ? `${format}, with a host` : encryptionFault(url);
}
