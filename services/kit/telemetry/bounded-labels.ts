/** Values of a metric's attribute, bounded: the first ones are kept apart, all later ones become `other`. */
export class BoundedLabels {
  readonly #limit: number;
  readonly #known = new Set<string>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  label(value: string): string {
    if (this.#known.size < this.#limit) {
      this.#known.add(value);
    }
    return this.#known.has(value) ? value : 'other';
  }
}
