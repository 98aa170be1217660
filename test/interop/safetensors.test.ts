import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KronogradError } from '../../src/errors.js';
import { readSafetensors, type Tensor, writeSafetensors } from '../../src/interop/safetensors.js';

const bytesOf = ({ data }: Tensor) => [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)];

const tensor: fc.Arbitrary<Tensor> = fc
  .tuple(fc.array(fc.nat(4), { maxLength: 3 }), fc.constantFrom('F32', 'F64', 'I32'))
  .chain(([shape, dtype]): fc.Arbitrary<Tensor> => {
    const length = shape.reduce((product, size) => product * size, 1);
    const exactly = { minLength: length, maxLength: length };
    if (dtype === 'F32') return fc.float32Array(exactly).map((data) => ({ dtype, shape, data }));
    if (dtype === 'F64') return fc.float64Array(exactly).map((data) => ({ dtype, shape, data }));
    return fc.int32Array(exactly).map((data) => ({ dtype: 'I32', shape, data }));
  });

const name = fc.oneof(
  fc.string({ unit: 'binary' }).filter((text) => text !== '__metadata__'),
  fc.constantFrom('__proto__', '0', 'constructor', ''),
);
const tensors = fc.array(fc.tuple(name, tensor), { maxLength: 5 }).map((entries) => new Map(entries));
const metadata = fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true });

/** Any file whose header is given as text, and whose data has the given length. */
function fileOf(header: string, dataLength = 0): Uint8Array {
  const json = new TextEncoder().encode(header);
  const file = new Uint8Array(8 + json.length + dataLength);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  return file;
}

function withByte(bytes: Uint8Array, index: number, value: number): Uint8Array {
  bytes[index] = value;
  return bytes;
}

function refusal(bytes: Uint8Array): KronogradError {
  try {
    readSafetensors(bytes, 'm.safetensors');
  } catch (error) {
    if (error instanceof KronogradError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

const small = writeSafetensors(
  new Map<string, Tensor>([
    ['w', { dtype: 'F32', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }],
    ['n', { dtype: 'F64', shape: [], data: Float64Array.of(0.1) }],
  ]),
  { kind: 'test' },
);

describe('safetensors', () => {
  test('what is written is read back, bit for bit', () => {
    fc.assert(
      fc.property(tensors, metadata, fc.nat(7), (original, meta, shift) => {
        const written = writeSafetensors(original, meta);
        // At any alignment of the file in memory.
        const bytes = new Uint8Array(written.length + shift).subarray(shift);
        bytes.set(written);
        const file = readSafetensors(bytes, 'x');
        expect(file.metadata).toEqual(meta);
        expect(new Set(file.tensors.keys())).toEqual(new Set(original.keys()));
        for (const [key, expected] of original) {
          const actual = file.tensors.get(key)!;
          expect(actual.dtype).toBe(expected.dtype);
          expect(actual.shape).toEqual(expected.shape);
          expect(bytesOf(actual)).toEqual(bytesOf(expected));
        }
      }),
      { numRuns: 200 },
    );
  });

  test('has the layout of the specification', () => {
    const data: Tensor = { dtype: 'F32', shape: [1], data: Float32Array.of(1) };
    const bytes = writeSafetensors(new Map([['a', data]]));
    const json = '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}';
    const header = json.padEnd(56, ' ');
    expect([...bytes.subarray(0, 8)]).toEqual([56, 0, 0, 0, 0, 0, 0, 0]);
    expect(new TextDecoder().decode(bytes.subarray(8, 64))).toBe(header);
    expect([...bytes.subarray(64)]).toEqual([0, 0, 0x80, 0x3f]);
  });

  test('the order of the map does not show in the file, and wide elements come first', () => {
    const a: Tensor = { dtype: 'F32', shape: [1], data: Float32Array.of(1) };
    const b: Tensor = { dtype: 'F64', shape: [1], data: Float64Array.of(2) };
    const one = writeSafetensors(
      new Map([
        ['a', a],
        ['b', b],
      ] as [string, Tensor][]),
    );
    const other = writeSafetensors(
      new Map([
        ['b', b],
        ['a', a],
      ] as [string, Tensor][]),
    );
    expect(one).toEqual(other);
    expect([...readSafetensors(one, 'x').tensors.keys()]).toEqual(['b', 'a']);
  });

  test('every truncation and every extension is refused', () => {
    for (let length = 0; length < small.length; length += 1) {
      expect(refusal(small.subarray(0, length)).code).toBe('CHECKPOINT');
    }
    const longer = new Uint8Array(small.length + 1);
    longer.set(small);
    expect(refusal(longer).message).toContain('1 bytes follow the last tensor');
  });

  test('a flipped bit in length or header is refused or harmless, never a crash', () => {
    const headerEnd = 8 + Number(new DataView(small.buffer).getBigUint64(0, true));
    for (let bit = 0; bit < headerEnd * 8; bit += 1) {
      const flipped = small.slice();
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      try {
        readSafetensors(flipped, 'm');
      } catch (error) {
        expect(error).toMatchObject({ name: 'KronogradError', code: 'CHECKPOINT', where: 'm' });
      }
    }
  });

  test('arbitrary bytes are refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        expect(refusal(bytes).code).toBe('CHECKPOINT');
      }),
    );
  });

  const f32 = (fields: object) =>
    JSON.stringify({ w: { dtype: 'F32', shape: [1], data_offsets: [0, 4], ...fields } });
  test.each([
    ['a header that is a list', fileOf('[]'), 'not a JSON object'],
    ['a header that is not UTF-8', withByte(fileOf('{}'), 8, 0xff), 'not JSON'],
    ['a header longer than the file', withByte(fileOf('{}'), 0, 200), 'said to have 200 bytes'],
    ['an enormous header', withByte(fileOf('{}'), 7, 255), 'said to have'],
    ['metadata that is not text', fileOf('{"__metadata__":{"a":1}}'), 'metadata'],
    ['a tensor that is a number', fileOf('{"w":1}'), 'not described by an object'],
    ['an unknown dtype', fileOf(f32({ dtype: 'BF16' }), 4), 'dtype "BF16"'],
    ['a negative size', fileOf(f32({ shape: [-1] }), 4), 'shape [-1]'],
    ['a fractional size', fileOf(f32({ shape: [0.5] }), 4), 'shape [0.5]'],
    ['sizes that overflow', fileOf(f32({ shape: [2 ** 52, 2 ** 52] }), 4), 'takes'],
    ['no offsets', fileOf(f32({ data_offsets: undefined }), 4), 'offsets undefined'],
    ['offsets in reverse', fileOf(f32({ data_offsets: [4, 0] }), 4), 'offsets [4,0]'],
    ['a shape that does not fill its offsets', fileOf(f32({ shape: [2] }), 4), 'takes 8 bytes'],
    ['a gap', fileOf(f32({ data_offsets: [4, 8] }), 8), 'begins at byte 4, not at 0'],
    ['bytes past the end', fileOf(f32({})), 'ends at byte 4 of 0'],
  ])('refuses %s', (_name, bytes, what) => {
    const error = refusal(bytes);
    expect(error.code).toBe('CHECKPOINT');
    expect(error.message).toContain(what);
    expect(error.fix).toBeTruthy();
  });

  test('refuses to write what could not be read', () => {
    const wrong: Tensor = { dtype: 'F32', shape: [2], data: Float32Array.of(1) };
    expect(() => writeSafetensors(new Map([['w', wrong]]))).toThrow(
      expect.objectContaining({ code: 'SHAPE' }),
    );
    const right: Tensor = { dtype: 'F32', shape: [1], data: Float32Array.of(1) };
    expect(() => writeSafetensors(new Map([['__metadata__', right]]))).toThrow(
      expect.objectContaining({ code: 'OPTION' }),
    );
  });
});
