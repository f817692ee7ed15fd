import { apiKey } from '../api/api-key.ts';
import type { VideoRequest } from './form-request.ts';

/** The request as a command for a POSIX shell. The API key is left for the shell's environment to fill in. */
export function toCurl(request: VideoRequest): string {
  const lines = [
    `curl ${new URL('v1/videos', document.baseURI)}`,
    ...(apiKey() ? ['-H "Authorization: Bearer $FUSIONFRAMES_API_KEY"'] : []),
    "-H 'Content-Type: application/json'",
    `-d ${quote(JSON.stringify(request, null, 2))}`,
  ];
  return lines.join(' \\\n  ');
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
