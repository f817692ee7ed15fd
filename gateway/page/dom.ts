/** The element of the page with this id. */
export function byId<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) {
    throw new Error(`The page has no element #${id}`);
  }
  return found as T;
}

/** A copy of a template's one element. */
export function fromTemplate<T extends HTMLElement>(id: string): T {
  const { content } = byId<HTMLTemplateElement>(id) as unknown as HTMLTemplateElement;
  return content.firstElementChild!.cloneNode(true) as T;
}

/** The element that a template marks with `data-part`. */
export function part<T extends Element>(root: Element, name: string): T {
  const found = root.querySelector<T>(`[data-part="${name}"]`);
  if (!found) {
    throw new Error(`Part "${name}" not found`);
  }
  return found;
}

/**
 * Sets a text only when it differs: unchanged text is not announced again by screen readers, and a selection in it
 * survives.
 */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}
