import { byId, setText } from '../dom.ts';
import type { OperatedVideo } from '../wire.ts';
import { openForm } from './form-dialog.ts';
import { setPriority } from './operate.ts';

/** Asks for the new priority of a waiting video, and sets it. */
export function askForPriority({ video }: OperatedVideo, refresh: () => Promise<void>): void {
  const field = byId<HTMLInputElement>('priority');
  setText(byId('priority-video'), video.prompt);
  field.value = String(video.priority);
  openForm('priority-dialog', 'priority-form', async () => {
    await setPriority(video.id, field.value.trim().replace('−', '-'));
    setText(byId('announcer'), 'The priority is set.');
    await refresh();
  });
  field.select();
}
