/** A LoRA that was merged into the weights of a model's version. */
export interface MergedLora {
  name: string;
  /** What it was multiplied by. */
  scale: number;
}

/** A LoRA that a request asks for: at the scale with which it was merged, if it names none. */
export interface AskedLora {
  name: string;
  scale?: number | undefined;
}

export const maxLoras = 10;

export const loraNameRule = '1 to 32 letters, digits, dots, underscores and hyphens, starting with a letter or digit';
export const loraName = /^[A-Za-z0-9][\w.-]{0,31}$/;

/** `ink:0.8,sharper` */
export function loraText(loras: readonly AskedLora[]): string {
  return loras.map(({ name, scale }) => (scale === undefined ? name : `${name}:${scale}`)).join(',');
}

/** The inverse of {@link loraText}; undefined for any other text. */
export function parseLoraText(text: string): AskedLora[] | undefined {
  const parsed = text.split(',').map((each): AskedLora | undefined => {
    const [, name, scale] = /^\s*([^:\s]+)\s*(?::\s*(-?\d+(?:\.\d+)?))?\s*$/.exec(each) ?? [];
    return name === undefined ? undefined : { name, ...(scale !== undefined && { scale: Number(scale) }) };
  });
  return parsed.every((each) => each !== undefined) ? parsed : undefined;
}

/** Whether a version has exactly the LoRAs that are asked for. */
export function hasLoras(merged: readonly MergedLora[], asked: readonly AskedLora[]): boolean {
  const isAsked = ({ name, scale }: MergedLora) =>
    asked.some((each) => each.name === name && (each.scale ?? scale) === scale);
  return merged.length === asked.length && merged.every(isAsked);
}
