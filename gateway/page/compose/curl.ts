import { apiKey } from '../api/api-key.ts';
import type { VideoRequest } from './form-request.ts';

/**
 * The request as a command for a POSIX shell. The API key is left for the shell's environment to fill in, and a picture file
 * is read by curl.
 */
export function toCurl(request: VideoRequest, fileName: string): string {
  const lines = [
    `curl ${new URL('v1/videos', document.baseURI)}`,
    ...(apiKey() ? ['-H "Authorization: Bearer $FUSIONFRAMES_API_KEY"'] : []),
    ...(typeof request.input_reference === 'string' ? formLines(request, fileName) : jsonLines(request)),
  ];
  return lines.join(' \\\n  ');
}

function jsonLines(request: VideoRequest): string[] {
  return ["-H 'Content-Type: application/json'", `-d ${quote(JSON.stringify(request, null, 2))}`];
}

function formLines({ input_reference: _, ...fields }: VideoRequest, fileName: string): string[] {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  return [
    ...given.map(([name, value]) => `--form-string ${quote(`${name}=${value}`)}`),
    // curl reads a quoted file name with commas and semicolons in it.
    `-F ${quote(`input_reference=@"${fileName.replace(/["\\]/g, '\\$&')}"`)}`,
  ];
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
