/** A tensor of a LoRA file. */
export interface LoraPart {
  /** The layer's name. */
  path: string;
  part: 'down' | 'up' | 'mid' | 'alpha';
}

/** How peft, kohya and diffusers name the parts of a layer, newer and older. */
const endings: readonly [RegExp, (match: RegExpExecArray) => LoraPart['part']][] = [
  // In a state that was not saved by peft itself, the adapter's name follows.
  [/\.lora_(A|B)(?:\.[^.]+)?\.weight$/, ([, side]) => (side === 'A' ? 'down' : 'up')],
  [/\.lora_(down|up|mid)\.weight$/, ([, part]) => part as LoraPart['part']],
  [/[._]lora(?:_linear_layer)?\.(down|up)\.weight$/, ([, part]) => part as LoraPart['part']],
  [/\.alpha$/, () => 'alpha'],
];

/** The layer and part that a tensor's name stands for; undefined for any other tensor. */
export function parseLoraName(name: string): LoraPart | undefined {
  for (const [ending, partOf] of endings) {
    const match = ending.exec(name);
    if (match !== null) {
      // diffusers' attention processors once held the layers that they change.
      return { path: name.slice(0, match.index).replace('.processor.', '.'), part: partOf(match) };
    }
  }
  return undefined;
}

/** Whether the tensors of a file are named as peft names them. It keeps alpha beside the tensors. */
export function arePeftNames(names: readonly string[]): boolean {
  return (
    names.some((name) => /\.lora_[AB](\.[^.]+)?\.weight$/.test(name)) && !names.some((name) => name.endsWith('.alpha'))
  );
}

/** Other ways to change a layer, by the ends of their tensors' names. */
const otherKinds: readonly [RegExp, string][] = [
  [/\.(dora_scale|lora_magnitude_vector(\.[^.]+)*)$/, 'DoRA'],
  [/\.hada_[wt]\d(_[ab])?$/, 'LoHa'],
  [/\.lokr_[wt]\d(_[ab])?$/, 'LoKr'],
  [/\.(oft_blocks|oft_diag|oft_[rR](\.[^.]+)*)$/, 'OFT'],
  [/\.(diff|diff_b)$/, 'full differences'],
  [/\.lora_embedding_[AB](\.[^.]+)?$/, 'LoRA of an embedding'],
  [/\.lora_(B|up)(\.[^.]+)?\.bias$/, 'LoRA with a bias'],
];

/** The kind of adapter that a tensor belongs to, if it is one that cannot be merged. */
export function otherKindOf(name: string): string | undefined {
  return otherKinds.find(([ending]) => ending.test(name))?.[1];
}

/** Beginnings that trainers put before a network's names. */
const wrappers = new Set([
  'base_model',
  'model',
  'module',
  '_orig_mod',
  'state_dict',
  'unet',
  'transformer',
  'diffusion_model',
  'text_encoder',
]);

/** The names that a layer may have in a network: as it is, and without each beginning that trainers add. */
export function* namesWithin(path: string): Generator<string> {
  let rest = path;
  yield rest;
  for (let at = rest.indexOf('.'); at > 0 && wrappers.has(rest.slice(0, at)); at = rest.indexOf('.')) {
    rest = rest.slice(at + 1);
    yield rest;
  }
}

/** The layer's name in kohya's form, with underscores and without its beginning; undefined in any other form. */
export function kohyaName(path: string): string | undefined {
  return /^(?:lora_(?:unet|transformer|te\d?)|lycoris)_([^.]+)$/.exec(path)?.[1];
}
