/** Cases of no network: what is done to data, or to equations, before there is one. On the host, in float64. */
import { Standardiser } from '../data/standardise.js';
import { KronogradError } from '../errors.js';
import { isRecord } from '../interop/json.js';
import { discretise } from '../model/discretise.js';
import { type FixtureCase, type FixtureTensor, type Tensors, tensors } from './fixture.js';

type Quantities = Readonly<Record<string, ArrayLike<number>>>;

const preprocessings: Readonly<Record<string, (given: FixtureCase) => Quantities>> = {
  /** Sherstinsky, eq. 118-120. */
  standardise(given) {
    const { shape, data } = required(given, given.rest, 'input');
    const rows = Float64Array.from(data);
    const fitted = Standardiser.fit(rows, shape.at(-1)!);
    const { mean, std } = fitted;
    return { mean, std, constant: fitted.constant.map(Number), output: fitted.transform(rows) };
  },
  /** Sherstinsky, eq. 23-30. */
  discretise(given) {
    const input = isRecord(given.rest.input) ? given.rest.input : {};
    const { dT, ...matrices } = input;
    const of = (name: string) => required(given, matrices, name).data;
    return {
      ...discretise({ A: of('A'), B: of('B'), C: of('C'), phi: of('phi'), dT: Number(dT) }),
    };
  },
};

export interface Comparison {
  readonly quantity: string;
  readonly ours: ArrayLike<number>;
  readonly theirs: FixtureTensor;
}

/**
 * What the case expects beside what is computed; null for a case that is none of these.
 * @throws KronogradError FIXTURE for a case that lacks its input
 */
export function preprocessed(
  given: FixtureCase,
): { readonly comparisons: readonly Comparison[]; readonly unsupported: readonly string[] } | null {
  const of = Object.hasOwn(preprocessings, given.name) ? preprocessings[given.name] : undefined;
  if (of === undefined) return null;
  const { name, input, expected = {}, ...others } = given.rest;
  const ours = of(given);
  const theirs = expectedOf(given, expected);
  const names = Object.keys(theirs);
  return {
    comparisons: names
      .filter((quantity) => ours[quantity] !== undefined)
      .map((quantity) => ({ quantity, ours: ours[quantity]!, theirs: theirs[quantity]! })),
    unsupported: [...names.filter((quantity) => ours[quantity] === undefined), ...Object.keys(others)],
  };
}

/** Tensors, and lists of yes and no as 1 and 0. */
function expectedOf(given: FixtureCase, expected: unknown): Tensors {
  const flags = Object.entries(isRecord(expected) ? expected : {}).filter(
    (entry): entry is [string, boolean[]] => Array.isArray(entry[1]),
  );
  const lists = flags.map(([name, list]) => [name, { shape: [list.length], data: list.map(Number) }]);
  return { ...tensors(expected, 'expected', bad(given)), ...Object.fromEntries(lists) };
}

function required(
  given: FixtureCase,
  record: Readonly<Record<string, unknown>>,
  name: string,
): FixtureTensor {
  const tensor = tensors({ [name]: record[name] }, 'input', bad(given))[name];
  return tensor ?? bad(given)(name, 'a tensor needs shape and data');
}

const bad =
  ({ name }: FixtureCase) =>
  (place: string, what: string): never => {
    throw new KronogradError('FIXTURE', what, {
      where: `${name}, ${place}`,
      fix: 'the format is described in README.md',
    });
  };
