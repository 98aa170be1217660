import { KronogradError } from '../errors.js';

/**
 * Decodes the bytes of a text file: strict UTF-8, a leading byte-order mark removed. Throws TEXT for bytes
 * that are not text (with the offset of the first bad one), and for a text of fewer than two characters, from
 * which nothing can be predicted. `where` names the source in errors.
 */
export function decodeText(bytes: Uint8Array, where: string): string {
  if (bytes.length === 0) {
    throw new KronogradError('TEXT', 'the text is empty', { where, fix: 'give a file with text in it' });
  }
  const utf16 = utf16Name(bytes);
  if (utf16 !== undefined) {
    throw new KronogradError('TEXT', `the text is encoded as ${utf16}, not as UTF-8`, {
      where,
      fix: `convert it: iconv -f ${utf16} -t UTF-8`,
    });
  }
  const nul = bytes.indexOf(0);
  if (nul !== -1) {
    throw new KronogradError('TEXT', `the file is binary: NUL at byte ${nul}`, {
      where,
      fix: 'give a plain text file in UTF-8',
    });
  }
  const text = decodeUtf8(bytes, where);
  if (text.length < 2 || (text.length === 2 && text.codePointAt(0)! > 0xffff)) {
    throw new KronogradError('TEXT', `the text has ${text.length === 0 ? 'no' : 'only one'} character`, {
      where,
      fix: 'give a longer text: to predict a character takes the one before it',
    });
  }
  return text;
}

/** The characters (Unicode code points) of a text, numbered in code-point order. */
export class Vocabulary {
  readonly characters: readonly string[];
  readonly #ids: ReadonlyMap<string, number>;

  private constructor(characters: readonly string[]) {
    this.characters = characters;
    this.#ids = new Map(characters.map((character, id) => [character, id]));
  }

  static fromText(text: string): Vocabulary {
    return new Vocabulary([...new Set(text)].sort((a, b) => a.codePointAt(0)! - b.codePointAt(0)!));
  }

  /** The inverse of `toJSON`. Throws TEXT unless `value` is a list of distinct single characters. */
  static fromJSON(value: unknown, where: string): Vocabulary {
    const valid =
      Array.isArray(value) &&
      value.length > 0 &&
      value.every((entry) => typeof entry === 'string' && [...entry].length === 1) &&
      new Set(value).size === value.length;
    if (valid) return new Vocabulary([...(value as string[])]);
    throw new KronogradError('TEXT', 'the vocabulary is not a list of distinct single characters', {
      where,
      fix: 'use the vocabulary that was saved with the model',
    });
  }

  get size(): number {
    return this.characters.length;
  }

  toJSON(): readonly string[] {
    return this.characters;
  }

  /**
   * The ids of the text's characters, in order. Throws TEXT for a character that is not in the vocabulary.
   */
  encode(text: string, where = 'text'): Int32Array {
    const ids = new Int32Array(text.length);
    let position = 0;
    for (const character of text) {
      const id = this.#ids.get(character);
      if (id === undefined) throw unknownCharacter(character, position, where);
      ids[position] = id;
      position += 1;
    }
    return ids.slice(0, position);
  }

  /** The text with the given ids. Throws TEXT for an id that is not in the vocabulary. */
  decode(ids: Iterable<number>): string {
    let text = '';
    for (const id of ids) {
      const character = this.characters[id];
      if (character === undefined) {
        throw new KronogradError('TEXT', `there is no character with id ${id}`, {
          where: 'vocabulary',
          fix: `give integers from 0 to ${this.size - 1}`,
        });
      }
      text += character;
    }
    return text;
  }
}

function unknownCharacter(character: string, position: number, where: string): KronogradError {
  const codePoint = character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0');
  const what = `character ${JSON.stringify(character)} (U+${codePoint}) at position ${position} is not in the vocabulary`;
  return new KronogradError('TEXT', what, {
    where,
    fix: 'use only characters that the training text has, or train on a text that has this one too',
  });
}

function utf16Name(bytes: Uint8Array): string | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'UTF-16LE';
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return 'UTF-16BE';
  return undefined;
}

function decodeUtf8(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new KronogradError('TEXT', `the file is not UTF-8: bad byte at ${firstBadByte(bytes)}`, {
      where,
      fix: 'convert it to UTF-8, for example: iconv -f ISO-8859-1 -t UTF-8',
      cause,
    });
  }
}

/**
 * The offset at which invalid UTF-8 first shows; the length for a text that ends inside a character.
 * A streaming decoder accepts a prefix exactly when no bad byte is in it, so bisection finds the first one.
 */
function firstBadByte(bytes: Uint8Array): number {
  let good = 0;
  let bad = bytes.length + 1;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (isValidPrefix(bytes.subarray(0, middle))) good = middle;
    else bad = middle;
  }
  return bad - 1;
}

function isValidPrefix(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}
