import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultLimits } from '../../kernels/index.js';
import type { Ref, Stage, TimeStride } from '../../kernels/stage.js';
import { stagesOf } from '../../kernels/task.js';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { trainingWork } from '../../src/bench/training-work.js';
import { resolveWorkload } from '../../src/bench/workload.js';
import { cells } from '../../src/cells/index.js';
import { compose } from '../../src/schedule/compose.js';
import { countDispatches } from '../../src/schedule/composed.js';
import { once } from '../../src/schedule/footprint.js';
import { schedule } from '../../src/schedule/index.js';
import { levelsOf, type TimedStage } from '../../src/schedule/levels.js';
import { totals } from '../../src/schedule/print.js';
import { planRows } from '../../src/schedule/rows.js';
import type { Loop } from '../../src/schedule/schedule.js';
import { cellDerivatives, keys } from '../support/cell-programs.js';
import { withDerivatives } from '../support/derivatives.js';
import { expectClose, randomInputs } from '../support/numbers.js';
import { cases, ids } from '../support/programs.js';
import { randomDerivatives, randomOps } from '../support/random-programs.js';
import { runComposed } from '../support/run-composed.js';

const software = {
  ...defaultLimits,
  ...{ parallelInvocations: 16, coreInvocations: 8, dispatchCost: 700, directRead: 8 },
};

describe('composed programs keep their values, whatever the order of workgroups', () => {
  it.each(cases)('$name', (given) => {
    const program = withDerivatives(given);
    const inputs = randomInputs(program, 11, ids);
    const expected = interpret(program, inputs);
    for (const composition of ['all', 'auto'] as const)
      for (const backwards of [false, true]) {
        const composed = compose(schedule(program), defaultLimits, composition);
        const out = runComposed(composed, inputs, backwards);
        for (const key of Object.keys(expected)) expectClose(out[key]!, expected[key]!, 1e-13, key);
      }
  });

  it.each([
    ...Object.keys(cells).map((name) => ({ name, layers: 2, bidirectional: false })),
    ...['gru', 'layer-norm-lstm'].map((name) => ({ name, layers: 1, bidirectional: true })),
  ])('$name, $layers layers, bidirectional: $bidirectional', ({ name, layers, bidirectional }) => {
    const config = { cell: cells[name]!, input: 2, hidden: 4, layers, bidirectional };
    // As many rows as units, so that the rows cannot be told by their number.
    const program = cellDerivatives(config, 3, 4);
    const inputs = randomInputs(program, 3, keys);
    const expected = interpret(program, inputs);
    for (const backwards of [false, true]) {
      const out = runComposed(compose(schedule(program), defaultLimits, 'all'), inputs, backwards);
      for (const key of Object.keys(expected)) expectClose(out[key]!, expected[key]!, 1e-11, key);
    }
  });

  it.each([
    [1, 1],
    [1, 3],
    [5, 1],
    [7, 2],
  ])('an LSTM over %i rows and %i steps', (rows, steps) => {
    const program = cellDerivatives({ cell: cells.lstm!, input: 2, hidden: 3, layers: 1 }, steps, rows);
    const inputs = randomInputs(program, 3, keys);
    const expected = interpret(program, inputs);
    const out = runComposed(compose(schedule(program), defaultLimits, 'all'), inputs);
    for (const key of Object.keys(expected)) expectClose(out[key]!, expected[key]!, 1e-11, key);
  });

  it('of random operations and their second derivatives', () => {
    let sequences = 0;
    let loops = 0;
    fc.assert(
      fc.property(randomOps, fc.integer({ min: 0, max: 1e6 }), (ops, seed) => {
        const program = randomDerivatives(ops);
        const inputs = randomInputs(program, seed);
        const expected = interpret(program, inputs);
        const composed = compose(schedule(program), defaultLimits, 'all');
        for (const step of composed.steps)
          if (step.kind === 'loop') loops++;
          else if (step.task.kind === 'sequence') sequences++;
        for (const backwards of [false, true]) {
          const out = runComposed(composed, inputs, backwards);
          for (const key of Object.keys(expected)) {
            const scale = 1 + Math.max(...expected[key]!.map(Math.abs));
            expected[key]!.forEach((x, i) =>
              expect(Math.abs(out[key]![i]! - x) / scale).toBeLessThanOrEqual(1e-11),
            );
          }
        }
      }),
      { numRuns: 60 },
    );
    // Both kinds occurred.
    expect(sequences).toBeGreaterThan(0);
    expect(loops).toBeGreaterThan(0);
  });
});

describe('dispatches of a training step', () => {
  const plan = (cell: string, workload: string) =>
    schedule(trainingWork(cell, resolveWorkload(workload)).program);

  it('are at most 24 for the LSTM of workload M, on a GPU and in software', () => {
    const M = plan('lstm', 'M');
    expect(countDispatches(compose(M, defaultLimits, 'all'))).toBeLessThanOrEqual(12);
    for (const limits of [defaultLimits, software])
      expect(countDispatches(compose(M, limits, 'auto'))).toBeLessThanOrEqual(24);
    expect(countDispatches(compose(M, defaultLimits, 'none'))).toBe(totals(M).dispatches);
  });

  it.each(Object.keys(cells))('%s: no more than one for each loop', (cell) => {
    const M = plan(cell, 'M');
    const { steps } = compose(M, defaultLimits, 'all');
    const left = steps.filter((step) => step.kind === 'loop' && step.count > 1);
    // The layer norm's gradient by one-hot inputs is summed over the batch in every step.
    expect(left.length).toBe(cell === 'layer-norm-lstm' ? 1 : 0);
  });

  it('are left apart where the device binds too few buffers for them together', () => {
    const M = plan('lstm', 'M');
    const few = { ...defaultLimits, maxStorageBuffersPerShaderStage: 1 };
    const stages = M.steps.reduce((sum, step) => sum + (step.kind === 'loop' ? step.count : 1), 0);
    const count = countDispatches(compose(M, few, 'all'));
    // The loops read the arena and the weights. A few stages touch the arena alone.
    expect(count).toBeGreaterThan(stages - 8);
    for (const step of compose(M, few, 'all').steps)
      if (step.kind === 'task') expect(step.task.kind).not.toBe('sequence');
  });

  it('are few enough steps each that no driver takes them for a hang', () => {
    const L = plan('lstm', 'L');
    for (const step of compose(L, software, 'all').steps)
      if (step.kind === 'task' && step.task.kind === 'sequence') {
        const { chunk, count, stages } = step.task;
        const flops = 2 * 64 * 256 * 1024; // of one step's product
        expect(stages.length).toBe(1);
        expect(chunk * flops).toBeLessThan(2 ** 29);
        expect(Math.ceil(count / chunk)).toBeGreaterThan(1);
      }
  });

  it('of a large layer are left step by step on a GPU, which they fill', () => {
    const { steps } = compose(plan('lstm', 'XL'), defaultLimits, 'auto');
    expect(steps.some((step) => step.kind === 'task' && step.task.kind === 'sequence')).toBe(false);
  });

  it('are all the stages of the schedule', () => {
    const M = plan('gru', 'M');
    const stages = M.steps.flatMap((step) => (step.kind === 'loop' ? step.stages : [step]));
    const composed = compose(M, defaultLimits, 'all').steps.flatMap((step) =>
      (step.kind === 'loop' ? step.tasks : [step]).flatMap(({ task }) => stagesOf(task)),
    );
    expect(new Set(composed)).toEqual(new Set(stages.map(({ stage }) => stage)));
    expect(composed.length).toBe(stages.length);
  });
});

describe('levels', () => {
  const at = (offset: number): Ref => ({ buffer: 0, offset, strides: [1], time: null });
  const copy = (from: number, to: number): TimedStage[] => [
    {
      stage: {
        ...{ kind: 'pointwise', shape: [4] },
        scalars: [{ kind: 'load', ref: at(from), gather: null }],
        stores: [{ ref: at(to), value: 0 }],
      },
      times: once,
    },
  ];

  it('are apart for what is read after it is written, written after it is read, and written twice', () => {
    expect(levelsOf([copy(0, 4), copy(4, 8)])).toEqual([0, 1]);
    expect(levelsOf([copy(4, 8), copy(0, 4)])).toEqual([0, 1]);
    expect(levelsOf([copy(0, 8), copy(4, 8)])).toEqual([0, 1]);
    expect(levelsOf([copy(0, 8), copy(4, 11)])).toEqual([0, 1]); // in one element
  });

  it('are shared by what has nothing in common but what it reads', () => {
    expect(levelsOf([copy(0, 4), copy(0, 8), copy(4, 12), copy(8, 16), copy(12, 20)])).toEqual([
      0, 0, 1, 1, 2,
    ]);
  });
});

describe('the rows of a loop', () => {
  const ref = (offset: number, strides: readonly number[], time: TimeStride | null = null): Ref => ({
    ...{ buffer: 0, offset, strides, time },
  });
  const at = (stride: number, shift: number, ring = 0): TimeStride => ({ stride, shift, ring });
  const copy = (shape: readonly number[], from: Ref, to: Ref): Stage => ({
    ...{ kind: 'pointwise', shape },
    scalars: [{ kind: 'load', ref: from, gather: null }],
    stores: [{ ref: to, value: 0 }],
  });
  const loop = (...stages: Stage[]): Loop => ({
    ...{ kind: 'loop', first: 0, count: 4, direction: 1 },
    stages: stages.map((stage) => ({ kind: 'stage', label: '', stage })),
  });
  const axes = (l: Loop) => planRows(l)?.stages.map(({ rowAxis }) => rowAxis) ?? null;

  it('are found where a step reads the same row of the step before', () => {
    const step = copy([3, 5], ref(0, [5, 1], at(15, 0)), ref(0, [5, 1], at(15, 1)));
    expect(axes(loop(step))).toEqual([1]); // columns as well as rows keep to themselves: the longer axis
    const product: Stage = {
      ...{ kind: 'gemm', batch: 1, rows: 3, columns: 5, slots: 1 },
      terms: [
        {
          depth: 5,
          a: ref(0, [0, 5, 1], at(15, 0)),
          b: ref(200, [0, 5, 1]),
          slots: [{ slot: 0, offset: 0 }],
        },
      ],
      scalars: [{ kind: 'accumulator', slot: 0 }],
      stores: [{ ref: ref(0, [0, 5, 1], at(15, 1)), value: 0 }],
    };
    expect(axes(loop(product))).toEqual([1]);
    // The same product with a right operand that the loop writes.
    const changing = { ...product, terms: [{ ...product.terms[0]!, b: ref(20, [0, 5, 1]) }] };
    expect(axes(loop(changing))).toBeNull();
    // And with a left operand whose rows are one row further on.
    const further = { ...product, terms: [{ ...product.terms[0]!, a: ref(5, [0, 5, 1], at(15, 0)) }] };
    expect(axes(loop(further))).toBeNull();
  });

  it('are refused where a step mixes them', () => {
    // y(t+1, i, j) = y(t, j, i)
    expect(axes(loop(copy([3, 3], ref(0, [1, 3], at(9, 0)), ref(0, [3, 1], at(9, 1)))))).toBeNull();
    // Row i + 1 of the step before.
    expect(axes(loop(copy([3], ref(1, [1], at(4, 0)), ref(0, [1], at(4, 1)))))).toBeNull();
    // A sum over the rows, read by every row of the next stage.
    const sum: Stage = {
      ...{ kind: 'reduce', kept: [5], reduced: [3], value: 0 },
      scalars: [{ kind: 'load', ref: ref(0, [1, 5], at(15, 0)), gather: null }],
      stores: [ref(100, [1])],
    };
    const spread = copy([3, 5], ref(100, [0, 1]), ref(0, [5, 1], at(15, 1)));
    expect(axes(loop(sum, copy([3, 5], ref(100, [0, 0]), ref(0, [5, 1], at(15, 1)))))).toBeNull();
    // Along the columns each workgroup reads what it summed itself.
    expect(axes(loop(sum, spread))).toEqual([0, 1]);
    // Rows that overlap.
    expect(axes(loop(copy([3, 5], ref(50, [5, 1]), ref(0, [4, 1]))))).toBeNull();
  });

  it('are never such that two of them touch an element that one writes', () => {
    const stride = fc.integer({ min: -12, max: 12 });
    const anyRef = fc.record({
      offset: fc.integer({ min: 0, max: 40 }),
      strides: fc.tuple(stride, stride),
      stride,
      ring: fc.integer({ min: 0, max: 2 }),
    });
    let found = 0;
    fc.assert(
      fc.property(
        anyRef,
        anyRef,
        fc.integer({ min: 2, max: 4 }),
        fc.integer({ min: 1, max: 3 }),
        (x, y, rows, columns) => {
          const make = ({ offset, strides, stride, ring }: typeof x) =>
            ref(offset + 500, strides, at(stride, 0, ring));
          const stage = copy([rows, columns], make(x), make(y));
          const plan = planRows(loop(stage));
          if (plan === null) return;
          found++;
          const axis = plan.stages[0]!.rowAxis;
          const touched = (r: Ref, row: number) => {
            const elements = new Set<number>();
            for (let t = 0; t < 4; t++)
              for (let i = 0; i < rows; i++)
                for (let j = 0; j < columns; j++)
                  if ([i, j][axis] === row)
                    elements.add(
                      r.offset +
                        r.strides[0]! * i +
                        r.strides[1]! * j +
                        r.time!.stride * (r.time!.ring ? t % r.time!.ring : t),
                    );
            return elements;
          };
          for (let a = 0; a < plan.rows; a++)
            for (let b = 0; b < plan.rows; b++) {
              if (a === b) continue;
              const written = touched(make(y), a);
              for (const element of [...touched(make(x), b), ...touched(make(y), b)])
                expect(written.has(element)).toBe(false);
            }
        },
      ),
      { numRuns: 3000 },
    );
    expect(found).toBeGreaterThan(100);
  });
});
