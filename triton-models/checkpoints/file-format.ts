import type { CheckpointFile } from './checkpoint-file.ts';
import { isLegacyPyTorch } from './legacy-pytorch.ts';
import { maxHeaderLength } from './safetensors.ts';
import { needed } from './tell-archive.ts';

/** The format recognised from a file's first bytes: one of the two supported, or a description of any other. */
export type FileFormat = 'safetensors' | 'pytorch' | 'legacy-pytorch' | { instead: string };

const maxStart = 512;
const zipAdvice = 'PyTorch saves a zip file since 1.6: load it and torch.save() its state_dict() again';
const barePickle = `it is a bare pickle, not a file of torch.save(); load it and torch.save() its state_dict()`;
const tarArchive = `it is a tar archive: unpack it; if PyTorch itself wrote it, ${zipAdvice}`;

/** First bytes, one per character, of files that people mistake for checkpoints. */
const others: readonly { starts: readonly string[]; at?: number; instead: string }[] = [
  {
    starts: ['version https://git-lfs.github.com/'],
    instead:
      "it is a Git LFS pointer, not the file itself: fetch the file with 'git lfs pull' in its repository, or with " +
      "'fusionframes models pull'",
  },
  {
    starts: ['/annex/objects/'],
    instead:
      "it is a git-annex pointer, not the file itself: fetch the file with 'git annex get' in its repository, or with " +
      "'fusionframes models pull'",
  },
  { starts: ['\x80'], instead: barePickle },
  { starts: ['ustar'], at: 257, instead: tarArchive },
  {
    starts: ['\x1f\x8b', 'BZh', '\xfd7zXZ', '\x28\xb5\x2f\xfd', '\x04\x22\x4d\x18', '7z\xbc\xaf', 'Rar!\x1a\x07'],
    instead: 'it is compressed: unpack it',
  },
  { starts: ['\x93NUMPY'], instead: `it is a NumPy array; ${needed}` },
  { starts: ['\x89HDF'], instead: `it is an HDF5 file, as Keras writes; ${needed}` },
  { starts: ['GGUF'], instead: `it is a GGUF file; ${needed}` },
];

/** Recognises a file's format by its first bytes; its name does not matter. */
export async function tellFormat({ size, read }: CheckpointFile): Promise<FileFormat> {
  const bytes = await read(0, Math.min(size, maxStart));
  const start = bytes.toString('latin1');
  if (start.startsWith('PK\x03\x04') || start.startsWith('PK\x05\x06')) {
    return 'pytorch';
  }
  if (isLegacyPyTorch(bytes)) {
    return 'legacy-pytorch';
  }
  // A safetensors file starts with the length of its header, and the header starts with a brace. A file that is cut short
  // within the header still counts.
  const isHeader = start[8] === '{';
  if (isHeader && bytes.readBigUInt64LE() <= maxHeaderLength) {
    return 'safetensors';
  }
  const instead = size === 0 ? 'it is empty' : nameOf(bytes);
  if (instead !== undefined) {
    return { instead };
  }
  return isHeader
    ? 'safetensors'
    : { instead: `it starts like neither safetensors nor a PyTorch file (bytes ${bytes.toString('hex', 0, 8)})` };
}

function nameOf(bytes: Buffer): string | undefined {
  const start = bytes.toString('latin1').replace(/^\xef\xbb\xbf/, '');
  const found = others.find(({ starts, at = 0 }) => starts.some((text) => start.startsWith(text, at)));
  if (found) {
    return found.instead;
  }
  if (isOldTar(bytes)) {
    return tarArchive;
  }
  // Protocols 0 and 1 have no magic byte; they start with a call, or with a dictionary or list that is memoized.
  if (/^(c[\w.]+\n\w+\n|\([dl]p\d+\n|[}\]]q)/.test(start)) {
    return barePickle;
  }
  if (isOnnx(bytes)) {
    return `it is an ONNX model; ${needed}`;
  }
  if (/^\s*<[!?a-z]/i.test(start)) {
    return 'it is a web page or XML, which servers send in place of a file that they refuse: download it again';
  }
  if (/^\s*[{[]/.test(start)) {
    return `it is JSON; ${needed}`;
  }
  const line = firstLineOf(bytes);
  return line === undefined ? undefined : `it is text: ${JSON.stringify(line)}; ${needed}`;
}

/** Tar files older than POSIX (v7) have no magic, only a checksum of their first 512 bytes. */
function isOldTar(bytes: Buffer): boolean {
  const [from, to] = [148, 156];
  // The checksum field itself counts as spaces.
  const sum = bytes.reduce((total, byte, i) => total + (i >= from && i < to ? 0x20 : byte), 0);
  return bytes.length === maxStart && Number.parseInt(bytes.toString('latin1', from, to), 8) === sum;
}

/** A ModelProto: the format version, then another of its fields. */
function isOnnx([first, version = 0, second = 0]: Buffer): boolean {
  return first === 0x08 && version > 0 && version < 32 && [0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42].includes(second);
}

/** At most 80 characters of the first non-empty line; `undefined` if the bytes are not UTF-8 text. */
function firstLineOf(bytes: Buffer): string | undefined {
  let text: string;
  try {
    // The last character may be incomplete.
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true }).trim();
  } catch {
    return undefined;
  }
  return text === '' || /[^\P{Cc}\t\r\n]/u.test(text) ? undefined : text.split(/\r?\n/, 1)[0]!.slice(0, 80);
}
