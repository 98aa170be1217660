import { KronogradError } from '../errors.js';
import { isRecord } from './json.js';

/**
 * The safetensors file format: a length, a JSON header, and the tensors' bytes end to end, all little-endian
 * (as is every platform that has WebGPU, so typed arrays are copied as they are).
 *
 *     u64 n | n bytes of JSON, padded with spaces | data
 *     {"__metadata__": {"key": "text"}, "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}
 *
 * Specification: https://github.com/huggingface/safetensors
 */

/** A dense tensor in row-major order; `data` has as many elements as `shape` multiplies to. */
export type Tensor =
  | { readonly dtype: 'F32'; readonly shape: readonly number[]; readonly data: Float32Array }
  | { readonly dtype: 'F64'; readonly shape: readonly number[]; readonly data: Float64Array }
  | { readonly dtype: 'I32'; readonly shape: readonly number[]; readonly data: Int32Array };

export type TensorMap = ReadonlyMap<string, Tensor>;

export interface SafetensorsFile {
  /** In the order of their bytes in the file. */
  readonly tensors: Map<string, Tensor>;
  readonly metadata: Record<string, string>;
}

const DTYPES = {
  F64: { bytes: 8, array: Float64Array },
  F32: { bytes: 4, array: Float32Array },
  I32: { bytes: 4, array: Int32Array },
} as const;

const LENGTH_BYTES = 8;
const ALIGNMENT = 8;
/** The reference reader's limit: a longer header is damage or an attack, not a model. */
const LARGEST_HEADER = 100_000_000;
const METADATA = '__metadata__';

/**
 * The tensors as a safetensors file. The same tensors give the same bytes, whatever their order in the map.
 * Throws SHAPE for a tensor whose data and shape disagree, OPTION for the reserved name `__metadata__`.
 */
export function writeSafetensors(
  tensors: TensorMap,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const ordered = [...tensors].sort(byAlignmentThenName);
  const header: [string, unknown][] = [];
  if (Object.keys(metadata).length > 0) header.push([METADATA, metadata]);
  let dataLength = 0;
  for (const [name, tensor] of ordered) {
    requireWritable(name, tensor);
    const end = dataLength + tensor.data.byteLength;
    header.push([name, { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [dataLength, end] }]);
    dataLength = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const headerLength = Math.ceil(json.length / ALIGNMENT) * ALIGNMENT;

  const file = new Uint8Array(LENGTH_BYTES + headerLength + dataLength);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerLength), true);
  file.set(json, LENGTH_BYTES);
  file.fill(0x20, LENGTH_BYTES + json.length, LENGTH_BYTES + headerLength);
  let offset = LENGTH_BYTES + headerLength;
  for (const [, { data }] of ordered) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
    offset += data.byteLength;
  }
  return file;
}

/**
 * The tensors of a safetensors file, as copies. Every field is checked before it is used; throws CHECKPOINT
 * for anything that the format does not allow or that is of a dtype other than F32, F64 and I32. `where`
 * names the file in errors.
 */
export function readSafetensors(bytes: Uint8Array, where: string): SafetensorsFile {
  const header = readHeader(bytes, where);
  const data = bytes.subarray(LENGTH_BYTES + header.length);
  const metadata = requireMetadata(header.fields[METADATA], where);
  const entries = Object.entries(header.fields)
    .filter(([name]) => name !== METADATA)
    .map(([name, value]) => requireEntry(name, value, where))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);

  const tensors = new Map<string, Tensor>();
  let position = 0;
  for (const entry of entries) {
    if (entry.begin !== position) {
      throw damaged(`tensor "${entry.name}" begins at byte ${entry.begin}, not at ${position}`, where);
    }
    if (entry.end > data.length) {
      throw damaged(`tensor "${entry.name}" ends at byte ${entry.end} of ${data.length}`, where);
    }
    tensors.set(entry.name, readTensor(entry, data));
    position = entry.end;
  }
  if (position !== data.length) {
    throw damaged(`${data.length - position} bytes follow the last tensor`, where);
  }
  return { tensors, metadata };
}

interface Entry {
  readonly name: string;
  readonly dtype: Tensor['dtype'];
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function readHeader(bytes: Uint8Array, where: string): { length: number; fields: Record<string, unknown> } {
  if (bytes.length < LENGTH_BYTES) {
    throw damaged(`the file has ${bytes.length} bytes, fewer than its length prefix`, where);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  if (length > LARGEST_HEADER || LENGTH_BYTES + length > bytes.length) {
    throw damaged(`the header is said to have ${length} bytes, the file has ${bytes.length}`, where);
  }
  const json = bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + length);
  let fields: unknown;
  try {
    fields = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(json));
  } catch (cause) {
    throw damaged('the header is not JSON', where, cause);
  }
  if (!isRecord(fields)) throw damaged('the header is not a JSON object', where);
  return { length, fields };
}

function requireMetadata(value: unknown, where: string): Record<string, string> {
  if (value === undefined) return {};
  if (isRecord(value) && Object.values(value).every((text) => typeof text === 'string')) {
    return value as Record<string, string>;
  }
  throw damaged('the metadata is not an object of texts', where);
}

function requireEntry(name: string, value: unknown, where: string): Entry {
  if (!isRecord(value)) throw damaged(`tensor "${name}" is not described by an object`, where);
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isDtype(dtype)) {
    throw new KronogradError('CHECKPOINT', `tensor "${name}" has the dtype ${JSON.stringify(dtype)}`, {
      where,
      fix: `convert it to one of ${Object.keys(DTYPES).join(', ')}`,
    });
  }
  if (!isListOfSizes(shape)) throw damaged(`tensor "${name}" has the shape ${JSON.stringify(shape)}`, where);
  if (!isListOfSizes(offsets) || offsets.length !== 2 || offsets[1]! < offsets[0]!) {
    throw damaged(`tensor "${name}" has the offsets ${JSON.stringify(offsets)}`, where);
  }
  const [begin, end] = offsets as [number, number];
  const bytes = elements(shape) * DTYPES[dtype].bytes;
  if (end - begin !== bytes) {
    const what = `tensor "${name}" of shape [${shape}] takes ${bytes} bytes, its offsets span ${end - begin}`;
    throw damaged(what, where);
  }
  return { name, dtype, shape, begin, end };
}

function readTensor({ dtype, shape, begin, end }: Entry, data: Uint8Array): Tensor {
  // A copy, since a typed array must begin at a multiple of its element size.
  const { buffer } = new Uint8Array(data.subarray(begin, end));
  return { dtype, shape, data: new DTYPES[dtype].array(buffer) } as Tensor;
}

function requireWritable(name: string, tensor: Tensor): void {
  if (name === METADATA) {
    throw new KronogradError('OPTION', `a tensor is named "${METADATA}"`, {
      where: 'writeSafetensors',
      fix: 'rename it: the file format reserves this name',
    });
  }
  const { dtype, shape, data } = tensor;
  if (isListOfSizes(shape) && elements(shape) === data.length && data instanceof DTYPES[dtype].array) return;
  const what = `tensor "${name}" of dtype ${dtype} and shape [${shape}] has ${data.length} elements of ${data.constructor.name}`;
  throw new KronogradError('SHAPE', what, {
    where: 'writeSafetensors',
    fix: 'make dtype, shape and data agree',
  });
}

/**
 * Wide elements first, so that every tensor is aligned to its own element size, as in the reference writer.
 */
function byAlignmentThenName([nameA, a]: [string, Tensor], [nameB, b]: [string, Tensor]): number {
  return DTYPES[b.dtype].bytes - DTYPES[a.dtype].bytes || (nameA < nameB ? -1 : nameA > nameB ? 1 : 0);
}

function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function isDtype(value: unknown): value is Tensor['dtype'] {
  return typeof value === 'string' && Object.hasOwn(DTYPES, value);
}

function isListOfSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function damaged(what: string, where: string, cause?: unknown): KronogradError {
  return new KronogradError('CHECKPOINT', `not a whole safetensors file: ${what}`, {
    where,
    fix: 'the file is damaged or of another kind: use another copy, or the previous checkpoint',
    cause,
  });
}
