/** What is certain about plain recurrences: the counter-examples to the printed theorems, and the definitions. */
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { canonicalRnn } from '../../src/cells/canonical-rnn.js';
import type { Cell } from '../../src/cells/cell.js';
import { cells } from '../../src/cells/index.js';
import { naumovRnn } from '../../src/cells/naumov-rnn.js';
import { palRnn } from '../../src/cells/pal-rnn.js';
import { standardRnn } from '../../src/cells/standard-rnn.js';
import { type RecurrenceCertificates, recurrenceCertificates } from '../../src/diagnostics/certificates.js';
import {
  type DenseMatrix,
  extremeSingularValues,
  mapped,
  spectralNorm,
  spectralRadius,
  square,
} from '../../src/diagnostics/matrices.js';
import { diagonalScaling, scaledBy } from '../../src/diagnostics/scaling.js';
import { DenseSpectra } from '../../src/diagnostics/spectra.js';
import { stepJacobians } from '../../src/diagnostics/step-jacobians.js';
import { type TracedSpec, tracedLayer } from './traced-layer.js';

async function certified(spec: TracedSpec) {
  const { trace } = tracedLayer(spec);
  const spectra = new DenseSpectra(trace);
  for await (const jacobian of stepJacobians(new Float64Backend(), trace)) spectra.add(jacobian);
  const result = recurrenceCertificates(trace, spectra.result.steps.largest)!;
  return { trace, result, ...spectra.result };
}

const found = ({ certificates }: RecurrenceCertificates, name: string) =>
  certificates.find((certificate) => certificate.name === name)!;

const proves = ({ certificates }: RecurrenceCertificates, what: string): boolean =>
  certificates.some((certificate) => certificate.proves === what && certificate.holds);

describe('what the printed theorems get wrong', () => {
  // Pal, Theorem 2: |lambda_1| < 1 / gamma. All eigenvalues of this W are 0.
  it('W = [[2, -2], [2, -2]]: eigenvalues of 0 prove no vanishing, and 20 steps grow to 1.5e6', async () => {
    // h held at (0, 20): the input makes up for what W sigma(h) gives.
    const parameters = {
      W_R: [2, -2, 2, -2],
      W_I: [1, 0, 0, 1],
      b_R: [2, 22],
    };
    const { trace } = tracedLayer({ cell: palRnn(), T: 1, r: 1, input: 2, hidden: 2, parameters });
    const held = {
      ...trace,
      states: { h: Float64Array.from([0, 20, 0, 20]) },
    };
    const result = recurrenceCertificates(held, null)!;
    expect(result.numbers.spectralRadius).toBeLessThan(1e-7);
    expect(result.numbers.absoluteSpectralRadius).toBeCloseTo(4, 12);
    expect(proves(result, 'vanishing')).toBe(false);
    expect(found(result, 'no explosion').holds).toBe(false);
    // diag(f') = diag(1, 0): J = [[2, 0], [2, 0]] and |J^20| = 2^20 sqrt 2.
    const J = square([2, 0, 2, 0]);
    expect(extremeSingularValues(J).largest * 2 ** 19).toBeCloseTo(1.5e6, -5);
  });

  // Pal, Theorem 4: a large norm. W^2 = 0.
  it('W = [[0, 10], [0, 0]]: a norm of 10 proves no explosion, and its absolute values prove vanishing', async () => {
    const parameters = { W_R: [0, 10, 0, 0] };
    const { result, products } = await certified({
      ...{ cell: palRnn('identity'), T: 4, r: 1, input: 2, hidden: 2, parameters },
    });
    expect(result.numbers.norm).toBe(10);
    expect(proves(result, 'exploding')).toBe(false);
    expect(found(result, 'spectral radius of absolute values')).toMatchObject({ value: 0, holds: true });
    expect(found(result, 'scaled norm').holds).toBe(true);
    expect(found(result, 'norm').holds).toBe(false);
    // Two steps and more are nothing at all.
    expect(Array.from(products.largest)).toEqual([0, 0, 0, 10]);
  });
});

describe('certificates', () => {
  const recurrent: readonly Cell[] = [
    palRnn('sigmoid'),
    palRnn('softplus', 'post'),
    standardRnn(),
    naumovRnn('softplus'),
    naumovRnn('sigmoid'),
    cells.rnn!,
    cells['rnn-relu']!,
    cells['relu-rnn']!,
    canonicalRnn(),
    canonicalRnn('sigmoid'),
  ];
  test.each(
    recurrent.map((cell, i) => [`${cell.name} (${cell.recurrence!.activation}, ${i})`, cell] as const),
  )('of %s hold on the run', async (_, cell) => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 1000 }),
        fc.constantFrom(0.05, 0.2, 0.7),
        fc.constantFrom(1, 2, 5),
        async (seed, scale, hidden) => {
          const T = 6;
          const { result, steps, products, trace } = await certified({ cell, T, seed, scale, hidden });
          const { norm } = result.numbers;
          const bounded = found(result, 'norm');
          for (const sigma of steps.largest) expect(sigma).toBeLessThanOrEqual(bounded.value * (1 + 1e-12));
          expect(found(result, 'on the run').value).toBe(Math.max(...steps.largest));
          // ||J|| < 1 at every step, and the products shrink from step to step.
          if (found(result, 'on the run').holds)
            for (let i = 0; i < (T - 1) * trace.samples; i++)
              expect(products.largest[i]).toBeLessThanOrEqual(
                products.largest[i + trace.samples]! * (1 + 1e-12),
              );
          const growth = found(result, 'growth on the run');
          if (cell.recurrence!.linear !== undefined) {
            expect(growth).toBeUndefined();
            expect(result.longestGrowth).toBeNull();
            return;
          }
          expect(bounded.value).toBeCloseTo(result.numbers.gamma * norm, 12);
          // The bound from below is one at every step, and their product one for the whole.
          for (const sigma of steps.smallest) expect(sigma).toBeGreaterThanOrEqual(growth.value * (1 - 1e-9));
          products.smallest
            .slice(0, trace.samples)
            .forEach((sigma) => expect(sigma).toBeGreaterThanOrEqual(growth.value ** T * (1 - 1e-6) - 1e-12));
          if (growth.holds) expect(result.longestGrowth).toBe(T);
        },
      ),
      { numRuns: 8 },
    );
  });

  it('proves an explosion of every error where the smallest singular value is large', async () => {
    const parameters = { W_R: [0, 3, -3, 0] };
    const spec = { cell: palRnn('identity'), T: 5, r: 1, input: 1, hidden: 2, parameters };
    const { result, products } = await certified(spec);
    expect(found(result, 'growth on the run')).toMatchObject({ value: 3, holds: true });
    expect(result.longestGrowth).toBe(5);
    expect(products.smallest[0]).toBeCloseTo(3 ** 5, 8);
  });

  it('scales to the spectral radius of the absolute values, and below that where signs allow it', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.infiniteStream(fc.double({ min: 0.05, max: 2, noNaN: true })),
        fc.infiniteStream(fc.constantFrom(1, -1)),
        (n, sizes, signs) => {
          const A = square(Array.from({ length: n * n }, () => sizes.next().value));
          const scaledNorm = (B: DenseMatrix) => spectralNorm(scaledBy(diagonalScaling([B]), B));
          // Of a matrix without signs it is the least there is.
          expect(scaledNorm(A) / spectralRadius(A)).toBeCloseTo(1, 8);
          const signed = mapped(A, (a) => a * signs.next().value);
          expect(scaledNorm(signed)).toBeLessThanOrEqual(spectralRadius(A) * (1 + 1e-8));
          expect(scaledNorm(signed)).toBeGreaterThanOrEqual(spectralRadius(signed) * (1 - 1e-8));
        },
      ),
      { numRuns: 30 },
    );
  });

  it('gives the eigenvalues of W_s + W_r for the canonical RNN, of W_r for the standard one', () => {
    const common = { T: 1, r: 1, input: 1, hidden: 2 };
    const W_r = [0, 0.5, -0.5, 0];
    const canonical = tracedLayer({
      ...common,
      cell: canonicalRnn(),
      parameters: { W_s: [0.3, 0, 0, 0.3], W_r },
    });
    const standard = tracedLayer({ ...common, cell: standardRnn(), parameters: { W_r } });
    const stability = ({ trace }: typeof standard) => recurrenceCertificates(trace, null)!.stability!;
    for (const modulus of stability(canonical)) expect(modulus).toBeCloseTo(Math.hypot(0.3, 0.5), 12);
    for (const modulus of stability(standard)) expect(modulus).toBeCloseTo(0.5, 12);
    // sigmoid(0) is not 0: the state 0 is no rest.
    const sigmoid = tracedLayer({ ...common, cell: standardRnn('sigmoid') });
    expect(recurrenceCertificates(sigmoid.trace, null)!.stability).toBeNull();
  });

  it('leaves out steps that are held, which are identities', async () => {
    const parameters = { weight_hh: [0.1, 0, 0, 0.1] };
    const spec = { cell: cells.rnn!, T: 4, r: 1, input: 1, hidden: 2, lengths: [2], parameters };
    const { result, steps } = await certified(spec);
    expect(Array.from(steps.largest.slice(2))).toEqual([1, 1]);
    expect(found(result, 'on the run').value).toBe(Math.max(steps.largest[0]!, steps.largest[1]!));
    expect(found(result, 'on the run').holds).toBe(true);
  });

  it('has none for cells with gates', () => {
    expect(recurrenceCertificates(tracedLayer({ cell: cells.lstm! }).trace, null)).toBeNull();
  });
});
