import type { Preset } from './preset.ts';

/** Longer prompts are never taken apart. */
export const maxCharactersToSplit = 1000;

/**
 * A prompt for each thing, with the background that they share, if the preset samples things one by one. Empty for prompts
 * with a single thing, with more things than the preset takes, or without a background.
 */
export function promptsOfThings(prompt: string, { things }: Pick<Preset, 'things'>): string[] {
  if (things === undefined || prompt.length > maxCharactersToSplit) {
    return [];
  }
  const [background] = prompt.match(new RegExp(things.background, 'iu')) ?? [];
  if (background === undefined) {
    return [];
  }
  const acts = prompt
    .replace(background, () => ' ')
    .split(new RegExp(things.between, 'iu'))
    .map(withoutEnds);
  const isMany = acts.length >= 2 && acts.length <= things.most && !acts.includes('');
  return isMany ? acts.map((act) => `${act} ${withoutEnds(background)}`) : [];
}

function withoutEnds(text: string): string {
  return text.replace(/^[\s.,]+|[\s.,]+$/g, '');
}
