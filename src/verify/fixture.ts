/** The golden-fixture format: reference values of a network in float64, read and checked before they are used. */
import { KronogradError } from '../errors.js';
import { isRecord, type JsonRecord } from '../interop/json.js';
import { type Shape, sizeOf } from '../program/program.js';

export interface FixtureTensor {
  readonly shape: Shape;
  readonly data: readonly number[];
}

export type Tensors = Readonly<Record<string, FixtureTensor>>;

export interface FixtureCase {
  readonly name: string;
  /** The network, by the name of the format; null: the case is of no network. */
  readonly system: string | null;
  /** Sizes, head and options, as the system understands them. */
  readonly config: JsonRecord;
  readonly params: Tensors;
  readonly data: Tensors;
  /** Everything else that the case holds, by its key. */
  readonly rest: JsonRecord;
}

export interface Fixture {
  readonly file: string;
  readonly cases: readonly FixtureCase[];
}

/** Reads a fixture. @throws KronogradError FIXTURE naming the place for whatever does not follow the format. */
export function parseFixture(text: string, where: string): Fixture {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new KronogradError('FIXTURE', 'this is no JSON', {
      where,
      fix: 'give a golden-fixture file',
      cause,
    });
  }
  const bad = (at: string, what: string): never => {
    throw new KronogradError('FIXTURE', what, {
      where: `${where}, ${at}`,
      fix: 'the format is described in README.md',
    });
  };
  if (!isRecord(json) || json.format !== 'recurrent-fixtures')
    bad('format', 'this is no golden-fixture file');
  const record = json as JsonRecord;
  if (record.version !== 1)
    bad('version', `version ${JSON.stringify(record.version)} is not understood, only 1`);
  if (!Array.isArray(record.cases) || record.cases.length === 0) bad('cases', 'there are no cases');
  const cases = (record.cases as unknown[]).map((item, i): FixtureCase => {
    const at = `cases[${i}]`;
    if (!isRecord(item)) return bad(at, 'a case must be an object');
    const { name, system, config, params, data, ...rest } = item;
    if (typeof name !== 'string') return bad(at, 'a case needs a name');
    // Not every case is of a network: a file may hold the values of a preprocessing, say.
    if (system === undefined)
      return { name, system: null, config: {}, params: {}, data: {}, rest: item as JsonRecord };
    if (typeof system !== 'string') return bad(`${at}.system`, 'a system is a name');
    if (!isRecord(config)) return bad(`${at}.config`, 'a case needs a config');
    return {
      name,
      system,
      config: config as JsonRecord,
      params: tensors(params ?? {}, `${at}.params`, bad),
      data: tensors(data ?? {}, `${at}.data`, bad),
      rest: rest as JsonRecord,
    };
  });
  return { file: typeof record.file === 'string' ? record.file : where, cases };
}

/** The tensors of a record; lists that are no tensors (lengths) are left out. */
export function tensors(json: unknown, at: string, bad: (at: string, what: string) => never): Tensors {
  if (!isRecord(json)) return bad(at, 'expected tensors by name');
  const result: Record<string, FixtureTensor> = {};
  for (const [name, value] of Object.entries(json)) {
    if (Array.isArray(value)) continue;
    if (!isRecord(value) || !Array.isArray(value.shape) || !Array.isArray(value.data))
      return bad(`${at}.${name}`, 'a tensor needs shape and data');
    const shape = value.shape as number[];
    const data = value.data as number[];
    if (!shape.every((d) => Number.isInteger(d) && d >= 0) || data.length !== sizeOf(shape))
      return bad(`${at}.${name}`, `shape [${shape}] does not hold ${data.length} numbers`);
    if (!data.every((x) => typeof x === 'number' && Number.isFinite(x)))
      return bad(`${at}.${name}`, 'every element must be a finite number');
    result[name] = { shape, data };
  }
  return result;
}
