import type { CheckpointFile } from './checkpoint-file.ts';

/** What the first bytes of a file say it is: one of the two formats that are read, or what it is instead. */
export type FileFormat = 'safetensors' | 'pytorch' | { instead: string };

const maxStart = 512;
const zipAdvice = 'PyTorch saves a zip file since 1.6: load it and torch.save() its state_dict() again';
const needed = 'safetensors or a PyTorch file is needed';

/** How files start, one byte a character, that people have in place of a checkpoint. */
const others: readonly { starts: readonly string[]; at?: number; instead: string }[] = [
  {
    starts: ['version https://git-lfs.github.com/'],
    instead:
      "it is a Git LFS pointer, not the file itself: fetch the file with 'git lfs pull' in its repository, or with " +
      "'fusionframes models pull'",
  },
  { starts: ['\x80'], instead: `it is a bare pickle, as torch.save() wrote before PyTorch 1.6; ${zipAdvice}` },
  { starts: ['ustar'], at: 257, instead: `it is a tar archive: unpack it; if PyTorch itself wrote it, ${zipAdvice}` },
  { starts: ['\x1f\x8b', 'BZh', '\xfd7zXZ', '\x28\xb5\x2f\xfd', '7z\xbc\xaf'], instead: 'it is compressed: unpack it' },
  { starts: ['\x93NUMPY'], instead: `it is a NumPy array; ${needed}` },
  { starts: ['\x89HDF'], instead: `it is an HDF5 file, as Keras writes; ${needed}` },
  { starts: ['GGUF'], instead: `it is a GGUF file; ${needed}` },
];

/** Tells a file's format from its first bytes; its name does not matter. */
export async function tellFormat({ size, read }: CheckpointFile): Promise<FileFormat> {
  const bytes = await read(0, Math.min(size, maxStart));
  const start = bytes.toString('latin1');
  if (start.startsWith('PK\x03\x04') || start.startsWith('PK\x05\x06')) {
    return 'pytorch';
  }
  // A safetensors file starts with the length of its header, whose own first character is a brace.
  if (start[8] === '{' && bytes.readBigUInt64LE() <= size) {
    return 'safetensors';
  }
  return { instead: size === 0 ? 'it is empty' : nameOf(start) };
}

function nameOf(start: string): string {
  const found = others.find(({ starts, at = 0 }) => starts.some((text) => start.startsWith(text, at)));
  if (found) {
    return found.instead;
  }
  if (/^\s*<[!?a-z]/i.test(start)) {
    return 'it is a web page or XML, which servers send in place of a file that they refuse: download it again';
  }
  if (/^\s*[{[]/.test(start)) {
    return `it is JSON; ${needed}`;
  }
  const hex = Buffer.from(start.slice(0, 8), 'latin1').toString('hex');
  return `it starts like neither safetensors nor a PyTorch file (bytes ${hex})`;
}
