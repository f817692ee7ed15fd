import { byId, setText } from '../dom.ts';
import { toCurl } from './curl.ts';
import type { VideoRequest } from './form-request.ts';

/** Shows a request as a curl command. @param fileNames see {@link toCurl} */
export function showCurl(request: VideoRequest, fileNames: readonly string[] = []): void {
  const dialog = byId<HTMLDialogElement>('curl');
  const code = byId<HTMLTextAreaElement>('curl-text');
  code.value = toCurl(request, fileNames);
  setText(byId('curl-note'), '');
  byId('curl-copy').onclick = () => void copy(code);
  dialog.showModal();
}

async function copy(code: HTMLTextAreaElement): Promise<void> {
  try {
    await navigator.clipboard.writeText(code.value);
    setText(byId('curl-note'), 'Copied.');
  } catch {
    // Pages have the clipboard only over HTTPS and on localhost.
    code.select();
    setText(byId('curl-note'), 'Selected: copy it with Ctrl+C.');
  }
}
