import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { packageRoot } from '../kit/package-root.ts';
import { withTemporaryFolder } from '../kit/testing/temporary-folder.ts';
import { loadPreset, type Preset } from '../pipeline/preset.ts';
import { PromptTokenizer } from './prompt-tokenizer.ts';

const unigram = join(packageRoot, 'test/fixtures/tokenizers/unigram.json');
const nano = loadPreset('nano');
const end = 1;
const unknown = 2;

function presetWith(textEncoder: Partial<Preset['textEncoder']>): Preset {
  return { ...nano, textEncoder: { ...nano.textEncoder, ...textEncoder } };
}

describe('with the words of nano', () => {
  const tokenizer = new PromptTokenizer(nano);

  test.each(nano.examples)('knows every word of its example "%s"', (example) => {
    const { ids, truncated } = tokenizer.tokenize(example);
    expect(ids.length).toBe(example.split(' ').length + 1);
    expect(ids).not.toContain(unknown);
    expect(ids.at(-1)).toBe(end);
    expect(truncated).toBe(0);
  });

  test('case does not matter; an unknown word is one unknown token', () => {
    expect(tokenizer.tokenize('A RED Circle')).toEqual(tokenizer.tokenize('a red circle'));
    expect(tokenizer.tokenize('a dodecahedron').ids[1]).toBe(unknown);
  });

  test('unknown words are listed once each', () => {
    expect(tokenizer.tokenize('ein großer roter Kreis, ein roter 🦊').unknownWords).toEqual([
      'ein',
      'großer',
      'roter',
      'Kreis',
      '🦊',
    ]);
    expect(tokenizer.tokenize('a large red circle, moving left.').unknownWords).toEqual([]);
    expect(tokenizer.tokenize('A RED Circle, moving right!').unknownWords).toEqual(['!']);
    expect(tokenizer.tokenize('a fox; (red), !?').unknownWords).toEqual(['fox', '(', ')', '!', '?']);
  });

  test.each([
    ['_red_ red_circle', ['_red_', 'red_circle']],
    ['red-circle, red/blue and "red+blue".', ['-', '/', '"', '+']],
    ['red,fox red-fox; red.,', ['fox', 'red-fox', '.,']],
    ["ball's red🦊 red❤️! fox🦊", ["ball's", '🦊', '❤️', '!', 'fox🦊']],
  ])('of the unknown words in %j, only the unknown pieces are named if the rest is known', (text, unknownWords) => {
    expect(tokenizer.tokenize(text).unknownWords).toEqual(unknownWords);
  });

  test('a long text is cut, with the end token last, and says how much was cut', () => {
    const words = tokenizer.maxTokens + 7;
    const { ids, truncated } = tokenizer.tokenize('red '.repeat(words));
    expect(ids.length).toBe(tokenizer.maxTokens);
    expect(ids.at(-1)).toBe(end);
    expect(truncated).toBe(words - (tokenizer.maxTokens - 1));
  });
});

// Made by SentencePiece 0.2.2 (nmt_nfkc) and tokenizers 0.23.2; literal special tokens are Hugging Face's.
describe("with SentencePiece's table of replacements", () => {
  const network = { ...nano.textEncoder.network, vocab_size: 100 };
  const fixture = (name: string) => join(packageRoot, 'test/fixtures/tokenizers', name);
  const tokenizer = new PromptTokenizer(
    presetWith({ tokenizer: fixture('precompiled.json'), maxTokens: 32, contextTokens: 'trimmed', network }),
  );
  const expected = JSON.parse(readFileSync(fixture('precompiled-ids.json'), 'utf8')) as Record<string, number[]>;

  test.each(Object.entries(expected))('%j', (text, ids) => {
    expect(tokenizer.tokenize(text).ids).toEqual([...ids, end]);
  });
});

describe("with a tokenizer of T5's kind", () => {
  const tokenizer = new PromptTokenizer(presetWith({ tokenizer: unigram, maxTokens: 8, contextTokens: 'trimmed' }));

  test('splits words into pieces', () => {
    expect(tokenizer.tokenize('a red circle').ids).toEqual([4, 5, 7, end]);
    expect(tokenizer.tokenize('balls  日本').ids).toEqual([16, 43, 3, unknown, end]);
  });

  test('exactly as many tokens as fit are not cut', () => {
    expect(tokenizer.tokenize('red red red red red red red')).toMatchObject({ truncated: 0 });
    expect(tokenizer.tokenize('red red red red red red red red')).toEqual({
      ids: [5, 5, 5, 5, 5, 5, 5, end],
      truncated: 1,
      unknownWords: [],
    });
  });

  const prompt = tokenizer.tokenize('a red circle');
  test.each([
    ['shorter than the prompt', 'blue', [6, end], 0],
    ['as long as the prompt', 'blue blue blue', [6, 6, 6, end], 0],
    ['longer than the prompt', 'blue blue blue blue blue', [6, 6, 6, end], 2],
    ["longer than the encoder's limit", 'blue '.repeat(20), [6, 6, 6, end], 17],
  ])('a negative prompt %s', (_, text, ids, truncated) => {
    expect(tokenizer.tokenizeNegative(text, prompt)).toEqual({ ids, truncated, unknownWords: [] });
  });
});

describe('an unusable tokenizer is rejected', () => {
  test('missing', () => {
    expect(() => new PromptTokenizer(presetWith({}), '/nowhere/tokenizer.json')).toThrow(
      /^FUSIONFRAMES_TOKENIZER: \/nowhere\/tokenizer.json can't be used: no such file/,
    );
    expect(() => new PromptTokenizer(presetWith({ tokenizer: '/nowhere/tokenizer.json' }))).toThrow(
      /^tokenizer: \/nowhere\/tokenizer.json can't be used: no such file/,
    );
  });

  const model = { model: { type: 'Unigram', unk_id: 0, vocab: [['<unk>', 0]] }, added_tokens: [] };
  const cutTable = JSON.stringify({ normalizer: { type: 'Precompiled', precompiled_charsmap: 'CAAAAAEC' }, ...model });
  test.each(['not JSON', '{"version": "1.0"}', cutTable])('broken: %s', (content) =>
    withTemporaryFolder(async (folder) => {
      const path = join(folder, 'tokenizer.json');
      writeFileSync(path, content);
      expect(() => new PromptTokenizer(presetWith({ tokenizer: path }))).toThrow(`tokenizer: ${path} can't be used`);
    }),
  );

  test('different from its manifest', () =>
    withTemporaryFolder(async (folder) => {
      const path = join(folder, 'tokenizer.json');
      const content = readFileSync(unigram);
      const sha256 = createHash('sha256').update(content).digest('hex');
      const files = { 'tokenizer.json': { bytes: content.length, sha256 } };
      writeFileSync(join(folder, 'manifest.json'), JSON.stringify({ files }));
      writeFileSync(path, content);
      expect(new PromptTokenizer(presetWith({ tokenizer: path })).tokenize('a red circle').ids).toEqual([4, 5, 7, end]);
      writeFileSync(path, String(content).replace('{', '{ '));
      expect(() => new PromptTokenizer(presetWith({ tokenizer: path }))).toThrow(
        `tokenizer: ${path} can't be used: it is not what manifest.json says: sha256 ${sha256} expected, `,
      );
      const manifest = join(folder, 'manifest.json');
      writeFileSync(manifest, JSON.stringify({ files }).replace(sha256, `g${sha256.slice(1)}`));
      expect(() => new PromptTokenizer(presetWith({ tokenizer: path }))).toThrow(
        `tokenizer: ${path} can't be used: ${manifest} is damaged: \`files.tokenizer.json.sha256\` must be 64 lowercase hexadecimal`,
      );
    }));

  test('with more tokens than the encoder supports', () => {
    const preset = presetWith({ tokenizer: unigram, network: { ...nano.textEncoder.network, vocab_size: 52 } });
    expect(() => new PromptTokenizer(preset)).toThrow('it has token 52, the encoder has tokens 0 to 51');
  });
});
