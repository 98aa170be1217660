/** The split of an LSTM's error path, against the formulas in matrices (math.md 12.2). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { augmentedLstm } from '../../src/cells/augmented-lstm.js';
import type { Cell } from '../../src/cells/cell.js';
import { cells } from '../../src/cells/index.js';
import { vanillaLstm } from '../../src/cells/vanilla-lstm.js';
import { CAROUSEL, CarouselSplit, carouselQuantities } from '../../src/diagnostics/carousel.js';
import { stepJacobians } from '../../src/diagnostics/step-jacobians.js';
import { stepQuantities } from '../../src/diagnostics/step-program.js';
import {
  add,
  diag,
  type Matrix,
  mul,
  norm2,
  times,
  T as transpose,
  zeros,
} from '../errata/support/matrix.js';
import { expectClose } from '../support/numbers.js';
import { type Traced, type TracedSpec, tracedLayer } from './traced-layer.js';

const backend = new Float64Backend();

async function split(spec: TracedSpec) {
  const traced = tracedLayer(spec);
  const quantities = await stepQuantities(backend, traced.trace, carouselQuantities(traced.trace));
  const carousel = new CarouselSplit(traced.trace, quantities);
  for await (const jacobian of stepJacobians(backend, traced.trace)) carousel.add(jacobian);
  return { ...traced, carousel: carousel.result };
}

/** ||Q[k]|| of one sample by (177) as corrected; the Vanilla LSTM, and the Augmented one with N' W_qdr' for N'. */
async function remainders({ trace }: Traced, sample: number): Promise<number[]> {
  const { samples, steps, parameters, states } = trace;
  const names = ['u', 'g_cu', 'g_cs', 'g_cr', 'r', ...(parameters.Ws_cx ? ['g_cx', 'xi_du'] : [])];
  const quantities = await stepQuantities(backend, trace, names);
  const d = trace.parts[0]!.features;
  const rowOf = (numbers: ArrayLike<number>, step: number) =>
    times(d, (i) => numbers[(step * samples + sample) * d + i]!);
  const at = (name: string, step: number) => rowOf(quantities[name]!, step);
  const W = (name: string): Matrix => {
    const { type, data } = parameters[name]!;
    const [m, n] = type.shape as [number, number];
    return times(m, (i) => times(n, (j) => data[i * n + j]!));
  };
  const k = (g: number) => g * (1 - g);
  return times(steps - 1, (i) => {
    const step = i + 1;
    const [u, g_cu, g_cs] = [at('u', step), at('g_cu', step), at('g_cs', step)];
    const s = rowOf(states.s!, step);
    const Dcs = diag(s.map((x, q) => x * k(g_cs[q]!)));
    const Dcu = diag(u.map((x, q) => x * k(g_cu[q]!)));
    const Ddu = diag(g_cu.map((g, q) => g * (1 - u[q]! ** 2)));
    const [g_cr, r] = [at('g_cr', i), at('r', i)];
    const own = add(
      diag(g_cr.map((g, q) => g * (1 - r[q]! ** 2))),
      mul(diag(r.map((x, q) => x * k(g_cr[q]!))), W('Ws_cr')),
    );
    const N = parameters.W_qdr ? mul(W('W_qdr'), own) : own;
    const Dcx = parameters.Ws_cx
      ? mul(Ddu, diag(at('xi_du', step).map((x, q) => x * k(at('g_cx', step)[q]!))))
      : null;
    const byValue = add(
      mul(transpose(W('Wv_cu')), Dcu),
      mul(transpose(W('Wv_cs')), Dcs),
      mul(transpose(W('Wv_du')), Ddu),
      Dcx ? mul(transpose(W('Wv_cx')), Dcx) : zeros(N.length, d),
    );
    const byState = add(
      mul(transpose(W('Ws_cu')), Dcu),
      mul(transpose(W('Ws_cs')), Dcs),
      Dcx ? mul(transpose(W('Ws_cx')), Dcx) : zeros(d, d),
    );
    return norm2(add(mul(transpose(N), byValue), byState));
  });
}

/** Parameters of the Vanilla LSTM that are the same everywhere but for those given. */
const vanilla = (d: number, others: number, given: Readonly<Record<string, number>>) =>
  Object.fromEntries(
    Object.entries(vanillaLstm.parameters({ input: 3, hidden: d, projection: 0 })).map(([name, shape]) => [
      name,
      new Array<number>(shape.reduce((a, b) => a * b)).fill(given[name] ?? others),
    ]),
  );

describe('the split of an LSTM', () => {
  const specs: [string, TracedSpec][] = [
    ['the Vanilla LSTM', { cell: vanillaLstm, T: 6 }],
    ['the Augmented LSTM', { cell: augmentedLstm({ window: 2 }), T: 5 }],
    ['the Augmented LSTM with a projection', { cell: augmentedLstm(), T: 4, hidden: 5, projection: 2 }],
    ['the Augmented LSTM without cx', { cell: augmentedLstm({ inputGate: false }), T: 4 }],
  ];
  it.each(specs)('of %s has the remainder of (177)', async (_, spec) => {
    const found = await split(spec);
    for (const sample of [0, 1]) {
      const own = found.carousel.remainder.filter((_, i) => i % 2 === sample);
      expect(own[0]).toBeNaN();
      expectClose(own.slice(1), await remainders(found, sample), 1e-12);
    }
  });

  it('bounds the remainder by the norms of the weights', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 1000 }),
        fc.constantFrom<Cell>(vanillaLstm, augmentedLstm({ window: 2 })),
        fc.constantFrom(1, 3, 5),
        fc.constantFrom(0.1, 1, 4),
        async (seed, cell, hidden, scale) => {
          const { remainder, bound } = (await split({ cell, seed, hidden, scale, T: 4 })).carousel;
          remainder.forEach((norm, i) => {
            if (Number.isNaN(norm)) expect(bound![i]).toBeNaN();
            else expect(norm).toBeLessThanOrEqual(bound![i]! * (1 + 1e-12));
          });
        },
      ),
      { numRuns: 15 },
    );
  });

  it('sees a carousel where the gate is open and all else is shut', async () => {
    const parameters = vanilla(3, 0.01, { b_cs: 6 });
    const { carousel } = await split({ cell: vanillaLstm, hidden: 3, T: 6, parameters });
    expect(carousel.isCarousel).toBe(true);
    expect(carousel.share).toBe(1);
    expect(carousel.conditions.every(({ holds }) => holds)).toBe(true);
  });

  it('sees none where the gate is half open, or the value path is strong', async () => {
    const half = await split({
      cell: vanillaLstm,
      hidden: 3,
      T: 6,
      parameters: vanilla(3, 0.01, { b_cs: 0 }),
    });
    expect(half.carousel.isCarousel).toBe(false);
    expect(half.carousel.conditions[0]).toMatchObject({ holds: false });
    expect(half.carousel.conditions[0]!.value).toBeLessThan(CAROUSEL.gate);
    const strong = vanilla(3, 0.01, { b_cs: 6, Wv_du: 0.4, Wx_du: 0, b_cu: 4, b_cr: 4 });
    const path = await split({ cell: vanillaLstm, hidden: 3, T: 6, parameters: strong });
    expect(path.carousel.isCarousel).toBe(false);
    expect(path.carousel.conditions[0]).toMatchObject({ holds: true });
    expect(path.carousel.conditions[1]!.value).toBeGreaterThan(CAROUSEL.remainder);
  });

  it('leaves out steps that are held, and a single step', async () => {
    const { carousel } = await split({ cell: vanillaLstm, T: 4, lengths: [4, 2] });
    expect(Array.from(carousel.remainder, Number.isNaN)).toEqual([
      true,
      true,
      false,
      false,
      false,
      true,
      false,
      true,
    ]);
    const single = await split({ cell: vanillaLstm, T: 1 });
    expect(single.carousel).toMatchObject({ share: 0, conditions: [], isCarousel: false });
  });

  it('is made of every cell that has a carousel', async () => {
    for (const name of ['lstm', 'peephole-lstm', 'layer-norm-lstm', 'multi-head-lstm', 'augmented-lstm']) {
      const { carousel } = await split({ cell: cells[name]!, T: 3 });
      expect(
        carousel.remainder.slice(2).every((norm) => norm > 0),
        name,
      ).toBe(true);
      expect(carousel.bound === null).toBe(name !== 'augmented-lstm');
    }
  });

  it('of nn.LSTM is h -> c through the gates alone', async () => {
    // c[k] depends on c[k-1] by f, and by h[k-1] = o tanh(c[k-1]) through i, f and g.
    const { carousel, trace } = await split({ cell: cells.lstm!, T: 2, r: 1, hidden: 1, input: 1 });
    const q = await stepQuantities(backend, trace, ['i', 'f', 'o']);
    const [W_i, W_f, W_g] = Array.from(trace.parameters.weight_hh!.data) as [number, number, number];
    const [c0, c1] = [trace.states.c![1]!, trace.states.c![2]!];
    const [i, f, o] = [q.i![1]!, q.f![1]!, q.o![0]!];
    const g = (c1 - f * c0) / i;
    const byValue = g * i * (1 - i) * W_i + c0 * f * (1 - f) * W_f + i * (1 - g * g) * W_g;
    expect(carousel.remainder[1]).toBeCloseTo(Math.abs(byValue * o * (1 - Math.tanh(c0) ** 2)), 12);
  });
});
