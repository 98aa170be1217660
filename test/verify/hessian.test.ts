import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import type { JsonRecord, JsonValue } from '../../src/interop/json.js';
import { type FixtureCase, parseFixture } from '../../src/verify/fixture.js';
import { verifyCase } from '../../src/verify/verify.js';

const backend = new Float64Backend();
afterAll(() => backend[Symbol.dispose]());

const file = new URL('../fixtures/rnn_half_squared_error.json', import.meta.url);
const [given] = parseFixture(readFileSync(file, 'utf8'), 'rnn').cases as [FixtureCase];

/** The case with its Hessians changed. */
function changed(change: (hessian: JsonRecord) => JsonValue): FixtureCase {
  const hessian = structuredClone(given.rest.hessian) as JsonRecord;
  return { ...given, rest: { ...given.rest, hessian: change(hessian) } };
}

describe('one number that is off by a millionth of the largest', () => {
  const tensor = (at: unknown) => at as { data: number[] };
  const block = (hessian: JsonRecord, name: string) => (hessian.blocks as Record<string, JsonRecord>)[name]!;
  const nudge = (numbers: number[]) => {
    numbers[0]! += 1e-6 * Math.max(...numbers.map(Math.abs));
  };
  const parts: [quantity: string, numbers: (hessian: JsonRecord) => number[]][] = [
    ['hessian.full', (h) => tensor(h.full).data],
    ['hessian.full_eigenvalues', (h) => (h.full_eigenvalues as { largest: number[] }).largest],
    ['hessian.blocks.W1.matrix', (h) => tensor(block(h, 'W1').matrix).data],
    ['hessian.blocks.b2.eigenvalues', (h) => (block(h, 'b2').eigenvalues as { largest: number[] }).largest],
    ['hessian.blocks.U2.gauss_newton', (h) => tensor(block(h, 'U2').gauss_newton).data],
    ['hessian.blocks.U1.kronecker_part', (h) => tensor(block(h, 'U1').kronecker_part).data],
    ['hessian.C.C1', (h) => tensor((h.C as JsonRecord).C1).data],
  ];
  test.each(parts)('%s', async (quantity, numbers) => {
    const wrong = changed((hessian) => {
      nudge(numbers(hessian));
      return hessian;
    });
    const { checks } = await verifyCase(backend, wrong);
    expect(checks.filter(({ passed }) => !passed).map((check) => check.quantity)).toEqual([quantity]);
  });
});

test('what is not understood is named', async () => {
  const { unsupported } = await verifyCase(
    backend,
    changed((hessian) => ({ ...hessian, inverse: 1 })),
  );
  expect(unsupported).toEqual(['hessian.inverse']);
});

test('Hessians can be left out', async () => {
  const { checks, unsupported } = await verifyCase(backend, given, { hessians: false });
  expect(checks.filter(({ quantity }) => quantity.startsWith('hessian.'))).toEqual([]);
  expect(unsupported).toEqual([]);
});

describe('what does not follow the format is refused', () => {
  const bad: [string, (hessian: JsonRecord) => JsonValue][] = [
    ['no object', () => 3],
    ['a block of no parameter', () => ({ blocks: { W9: {} } })],
    ['C of no layer', () => ({ C: { C9: { shape: [1], data: [0] } } })],
    ['eigenvalues without ends', () => ({ full_eigenvalues: { size: 3 } })],
    ['a matrix without data', () => ({ full: { shape: [2, 2] } })],
  ];
  test.each(bad)('%s', async (_, change) => {
    await expect(verifyCase(backend, changed(change))).rejects.toMatchObject({ code: 'FIXTURE' });
  });
});
