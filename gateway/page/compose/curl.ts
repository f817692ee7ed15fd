import { apiKey } from '../api/api-key.ts';
import type { VideoRequest } from './form-request.ts';

/**
 * The request as a command for a POSIX shell. The API key is left for the shell's environment to fill in, and files
 * are read by curl.
 *
 * @param fileNames of its picture or keyframes, if they are files
 */
export function toCurl(request: VideoRequest, fileNames: readonly string[]): string {
  const { input_reference: picture, keyframes } = request;
  const hasFiles = typeof picture === 'string' || typeof keyframes === 'string' || Array.isArray(keyframes);
  const lines = [
    `curl ${new URL('v1/videos', document.baseURI)}`,
    ...(apiKey() ? ['-H "Authorization: Bearer $FUSIONFRAMES_API_KEY"'] : []),
    ...(hasFiles ? formLines(request, fileNames) : jsonLines(request)),
  ];
  return lines.join(' \\\n  ');
}

function jsonLines(request: VideoRequest): string[] {
  return ["-H 'Content-Type: application/json'", `-d ${quote(JSON.stringify(request, null, 2))}`];
}

function formLines({ input_reference: picture, keyframes: _, ...fields }: VideoRequest, fileNames: readonly string[]) {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  const field = picture === undefined ? 'keyframes' : 'input_reference';
  return [
    ...given.map(([name, value]) => `--form-string ${quote(`${name}=${value}`)}`),
    // curl reads a quoted file name with commas and semicolons in it.
    ...fileNames.map((name) => `-F ${quote(`${field}=@"${name.replace(/["\\]/g, '\\$&')}"`)}`),
  ];
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
