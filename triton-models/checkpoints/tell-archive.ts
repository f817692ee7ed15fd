/** How a message about another format ends. */
export const needed = 'safetensors or a PyTorch file is needed';

/** Entries that only PyTorch's zip files have. */
const torchEntry = /^[^/]+\/(version|byteorder|constants\.pkl|\.format_version|data\/\d+)$/;
const checkpointEntry = /\.(safetensors|pt|pth|ckpt|bin)$/i;

/** Describes a zip file without a pickle by its entries; `undefined` if PyTorch wrote it. */
export function tellArchive(names: readonly string[]): string | undefined {
  const [first] = names;
  if (first === undefined) {
    return 'it is an empty zip archive';
  }
  if (names.some((name) => torchEntry.test(name))) {
    return undefined;
  }
  if (names.every((name) => name.endsWith('.npy'))) {
    return `it is an archive of NumPy arrays (.npz); ${needed}`;
  }
  if (names.some((name) => name.endsWith('.weights.h5'))) {
    return `it is a Keras model; ${needed}`;
  }
  if (names.some((name) => name.split('/').at(-1) === 'archive_format')) {
    return 'it is a program of torch.export(); torch.save() the state_dict() of its module instead';
  }
  const checkpoint = names.find((name) => checkpointEntry.test(name));
  if (checkpoint !== undefined) {
    return `it is a zip archive that contains ${JSON.stringify(checkpoint)}: unpack it`;
  }
  const others = names.length > 1 ? ` and ${names.length - 1} more` : '';
  return `it is a zip archive of ${JSON.stringify(first)}${others}; ${needed}`;
}
