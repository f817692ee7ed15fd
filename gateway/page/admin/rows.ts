import { byId, fromTemplate, part, setText } from '../dom.ts';

interface RowsOptions<T> {
  /** Id of the table's body; `<id>-empty` is shown when there are no rows, if it exists. */
  body: string;
  /** Id of a row's template. */
  template: string;
  keyOf(item: T): string;
  /** Shows an item in its row. */
  update(row: HTMLElement, item: T): void;
  /** Actions of a row's buttons, by part. */
  actions?: Record<string, (item: T) => void>;
}

/** Rows of a table, one per item. A row stays while its item does: focus and selections survive a refresh. */
export class Rows<T> {
  readonly #options: RowsOptions<T>;
  readonly #body: HTMLElement;
  readonly #rows = new Map<string, { row: HTMLElement; item: T }>();

  constructor(options: RowsOptions<T>) {
    this.#options = options;
    this.#body = byId(options.body);
  }

  show(items: readonly T[]): void {
    const { keyOf, update, body } = this.#options;
    const wanted = new Map(items.map((item) => [keyOf(item), item]));
    for (const [key, { row }] of this.#rows) {
      if (!wanted.has(key)) {
        row.remove();
        this.#rows.delete(key);
      }
    }
    [...wanted].forEach(([key, item], index) => {
      const known = this.#rows.get(key) ?? this.#add(key, item);
      known.item = item;
      update(known.row, item);
      if (this.#body.children[index] !== known.row) {
        this.#body.insertBefore(known.row, this.#body.children[index] ?? null);
      }
    });
    this.#body.closest('table')!.hidden = items.length === 0;
    const empty = document.getElementById(`${body}-empty`);
    if (empty) {
      empty.hidden = items.length > 0;
    }
  }

  #add(key: string, item: T): { row: HTMLElement; item: T } {
    const { template, actions = {} } = this.#options;
    const added = { row: fromTemplate<HTMLElement>(template), item };
    for (const [name, act] of Object.entries(actions)) {
      part(added.row, name).addEventListener('click', () => act(added.item));
    }
    this.#rows.set(key, added);
    return added;
  }
}

/** Sets the texts of a row's parts. */
export function setParts(row: Element, texts: Record<string, string>): void {
  for (const [name, text] of Object.entries(texts)) {
    setText(part(row, name), text);
  }
}
