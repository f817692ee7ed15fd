import { fromTemplate, part, setText } from '../dom.ts';
import { formatSeconds } from '../formats.ts';
import type { StageView } from '../pipeline.ts';

/** The list of stages, filled step by step. */
export class StageList {
  readonly #rows: HTMLElement[];

  constructor(list: HTMLElement, views: readonly StageView[]) {
    this.#rows = views.map(({ name, detail, stage }) => {
      const row = fromTemplate<HTMLElement>('stage-template');
      row.dataset.stage = stage;
      setText(part(row, 'name'), name);
      setText(part(row, 'detail'), detail);
      part(row, 'progress').setAttribute('aria-label', `${name}, ${detail}`);
      return row;
    });
    list.append(...this.#rows);
  }

  update(views: readonly StageView[]): void {
    views.forEach((view, index) => {
      const row = this.#rows[index];
      if (row) {
        updateRow(row, view);
      }
    });
  }
}

function updateRow(row: HTMLElement, { state, step, total, seconds, reused }: StageView): void {
  row.dataset.state = state;
  setText(part(row, 'count'), reused ? 'reused' : countText(state, step, total, seconds));
  const progress = part<HTMLProgressElement>(row, 'progress');
  progress.max = Math.max(1, total);
  progress.value = state === 'done' ? progress.max : step;
}

function countText(state: StageView['state'], step: number, total: number, seconds: number): string {
  switch (state) {
    case 'waiting':
      return '';
    case 'done':
      return seconds > 0 ? formatSeconds(seconds) : 'done';
    case 'running':
      return total > 0 ? `${step} / ${total}` : '…';
    case 'stopped':
      return total > 0 ? `stopped at ${step} / ${total}` : 'stopped';
  }
}
