import { describe, expect, test } from 'vitest';
import { splitByPosition } from '../../src/data/split.js';
import { decodeText, Vocabulary } from '../../src/data/text.js';
import { KronogradError } from '../../src/errors.js';

const utf8 = (text: string) => new TextEncoder().encode(text);

function refusal(action: () => unknown): KronogradError {
  try {
    action();
  } catch (error) {
    if (error instanceof KronogradError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('decodeText', () => {
  test('decodes UTF-8 and removes the byte-order mark', () => {
    expect(decodeText(utf8('\uFEFFnaïve 🐳'), 'a.txt')).toBe('naïve 🐳');
  });

  test.each([
    ['an empty file', new Uint8Array(), 'empty'],
    ['a byte-order mark alone', utf8('\uFEFF'), 'no character'],
    ['one character', utf8('a'), 'only one character'],
    ['one character of four bytes', utf8('🐳'), 'only one character'],
    ['NUL', utf8('abc\0def'), 'NUL at byte 3'],
    ['Latin-1', Uint8Array.of(0x6e, 0x61, 0xef, 0x76, 0x65), 'bad byte at 3'],
    ['a stray continuation byte', Uint8Array.of(0x61, 0x62, 0x80, 0x63), 'bad byte at 2'],
    ['a surrogate', Uint8Array.of(0x61, 0xed, 0xa0, 0x80), 'bad byte at 2'],
    ['a text that ends inside a character', utf8('abc🐳').slice(0, 5), 'bad byte at 5'],
    ['UTF-16', Uint8Array.of(0xff, 0xfe, 0x61, 0x00), 'UTF-16LE'],
  ])('refuses %s', (_name, bytes, what) => {
    const error = refusal(() => decodeText(bytes, 'a.txt'));
    expect(error.code).toBe('TEXT');
    expect(error.message).toContain(what);
    expect(error.where).toBe('a.txt');
    expect(error.fix).toBeTruthy();
  });

  test('finds a bad byte deep in a large file', () => {
    const bytes = utf8('é'.repeat(50_000));
    bytes[70_001] = 0x41; // instead of a continuation byte
    expect(refusal(() => decodeText(bytes, 'a.txt')).message).toContain('bad byte at 70001');
  });
});

describe('Vocabulary', () => {
  test('numbers code points in order', () => {
    const vocabulary = Vocabulary.fromText('b🐳a\uFFFDb');
    expect(vocabulary.characters).toEqual(['a', 'b', '\uFFFD', '🐳']);
    expect(vocabulary.size).toBe(4);
    expect([...vocabulary.encode('b🐳a')]).toEqual([1, 3, 0]);
    expect(vocabulary.decode([1, 3, 0])).toBe('b🐳a');
  });

  test('survives JSON', () => {
    const vocabulary = Vocabulary.fromText('call me 🐳\n"');
    const copy = Vocabulary.fromJSON(JSON.parse(JSON.stringify(vocabulary)), 'x');
    expect(copy.characters).toEqual(vocabulary.characters);
  });

  test.each([[null], ['ab'], [[]], [['a', 'a']], [['ab']], [[1]], [['']]])('refuses %j as JSON', (value) => {
    expect(refusal(() => Vocabulary.fromJSON(value, 'checkpoint.json')).code).toBe('TEXT');
  });

  test('names an unknown character and its position in characters', () => {
    const error = refusal(() => Vocabulary.fromText('ab🐳').encode('a🐳é', '--prompt'));
    expect(error.code).toBe('TEXT');
    expect(error.message).toContain('"é" (U+00E9) at position 2');
    expect(error.where).toBe('--prompt');
  });

  test('refuses an unknown id', () => {
    expect(refusal(() => Vocabulary.fromText('ab').decode([0, 2])).message).toContain('id 2');
  });
});

describe('splitByPosition', () => {
  const ids = Int32Array.from({ length: 40 }, (_, i) => i);

  test('keeps the end for validation', () => {
    const { training, validation } = splitByPosition(ids, 0.1);
    expect(training.length).toBe(36);
    expect([...validation]).toEqual([36, 37, 38, 39]);
  });

  test('a fraction of 0 gives no validation part', () => {
    expect(splitByPosition(ids, 0).validation.length).toBe(0);
  });

  test.each([-0.1, 1, Number.NaN])('refuses the fraction %s', (fraction) => {
    expect(refusal(() => splitByPosition(ids, fraction)).code).toBe('OPTION');
  });

  test('refuses a part of fewer than two characters', () => {
    expect(refusal(() => splitByPosition(ids.subarray(0, 10), 0.05)).code).toBe('TEXT');
    expect(refusal(() => splitByPosition(ids.subarray(0, 3), 0.9)).code).toBe('TEXT');
  });
});
