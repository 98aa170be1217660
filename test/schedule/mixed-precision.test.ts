/** Mixed precision: what becomes a half, what stays a float, and what it does to gradients, in float64 but for that. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { gradient } from '../../src/program/adjoint.js';
import { Builder } from '../../src/program/builder.js';
import { roundToHalf } from '../../src/program/half.js';
import { float, type Node, type Program } from '../../src/program/program.js';
import { schedule } from '../../src/schedule/index.js';
import { mixedPrecision } from '../../src/schedule/mixed-precision.js';
import { gradientOf, inputsOf, models, SIZES } from '../support/models.js';
import { expectClose, randomInputs } from '../support/numbers.js';
import { randomDerivatives, randomOps } from '../support/random-programs.js';
import { runSchedule } from '../support/run-schedule.js';

const allNodes = (nodes: readonly Node[]): Node[] =>
  nodes.flatMap((node) => [node, ...(node.op.kind === 'scan' ? allNodes(node.op.body.nodes) : [])]);

const norm = (x: ArrayLike<number>) => Math.hypot(...Array.from(x));

describe.each(Object.entries(models))('%s', (name, model) => {
  const plain = gradientOf(model);
  const mixed = mixedPrecision(plain);
  const inputs = inputsOf(model);

  it('multiplies halves, and adds up floats', () => {
    const products = allNodes(mixed.nodes).filter(({ op }) => op.kind === 'gemm');
    expect(products.length).toBeGreaterThan(0);
    for (const { inputs, outputs } of products) {
      expect(inputs.map(({ type }) => type.dtype)).toEqual(['half', 'half']);
      expect(outputs[0]!.type.dtype).toBe('float');
    }
    expect(mixed.inputs.map(({ value }) => value.type)).toEqual(plain.inputs.map(({ value }) => value.type));
    expect(mixed.outputs.map(({ value }) => value.type)).toEqual(
      plain.outputs.map(({ value }) => value.type),
    );
  });

  it('has a gradient close to that of float32', () => {
    const [wanted, found] = [interpret(plain, inputs), interpret(mixed, inputs)];
    const difference = found.gradient!.map((x, i) => x - wanted.gradient![i]!);
    const error = norm(difference) / norm(wanted.gradient!);
    console.log(`${name}: gradient ${error.toExponential(1)}`);
    // Roundings of 2^-11 and less, many of them, and independent of each other.
    expect(error).toBeLessThan(2e-3);
    expect(error).toBeGreaterThan(1e-6);
    expectClose(found.loss!, wanted.loss!, 1e-3);
  });

  it('keeps its values as stages, whatever the order of elements', () => {
    const wanted = interpret(mixed, inputs);
    for (const backwards of [false, true]) {
      const found = runSchedule(schedule(mixed), inputs, backwards);
      for (const key of Object.keys(wanted)) expectClose(found[key]!, wanted[key]!, 1e-12, key);
    }
  });

  it('takes no more dispatches in a step of a loop', () => {
    const stagesOf = (program: Program) =>
      schedule(program).steps.map((step) => (step.kind === 'loop' ? step.stages.length : 0));
    const most = (counts: readonly number[]) => counts.reduce((a, b) => a + b, 0);
    expect(most(stagesOf(mixed))).toBeLessThanOrEqual(most(stagesOf(plain)));
  });
});

it('keeps the values of random programs as stages, and of their second derivatives', () => {
  let compared = 0;
  fc.assert(
    fc.property(randomOps, fc.integer({ min: 0, max: 1e6 }), (ops, seed) => {
      const program = mixedPrecision(randomDerivatives(ops));
      const inputs = randomInputs(program, seed);
      const expected = interpret(program, inputs);
      for (const backwards of [false, true]) {
        const out = runSchedule(schedule(program), inputs, backwards);
        for (const key of Object.keys(expected)) {
          const scale = 1 + Math.max(...expected[key]!.map(Math.abs));
          // What overflows does so in both.
          if (!Number.isFinite(scale)) continue;
          compared++;
          expect(
            Math.max(...expected[key]!.map((x, i) => Math.abs(out[key]![i]! - x) / scale)),
          ).toBeLessThanOrEqual(1e-11);
        }
      }
    }),
    { numRuns: 60 },
  );
  expect(compared).toBeGreaterThan(100);
});

describe('what is rounded', () => {
  const typesOf = (program: Program) =>
    Object.fromEntries(program.outputs.map(({ name, value }) => [name, value.type.dtype]));

  it('is so for every reader, but for inputs', () => {
    const on = new Builder();
    const [x, w] = [on.input('x', float(2, 3)), on.input('w', float(12))];
    const made = on.call('exp', x);
    const weight = on.reshape(on.slice(w, 0, 0, 6), [3, 2]);
    const program = mixedPrecision(
      on.build({
        product: on.gemm(made, weight),
        read: on.add(made, made),
        w: { value: on.mul(w, w), updates: 'w' },
      }),
    );
    const inputs = randomInputs(program, 1);
    const { read, w: squares } = interpret(program, inputs);
    read!.forEach((v, i) => expect(v).toBe(2 * roundToHalf(Math.exp(inputs.x![i]!))));
    squares!.forEach((v, i) => expect(v).toBe(inputs.w![i]! ** 2));
    expect(typesOf(program)).toEqual({ product: 'float', read: 'float', w: 'float' });
  });

  it('leaves the cell state of an LSTM alone, and rounds its output', () => {
    const plain = gradientOf(models.lstm!);
    const [scan] = mixedPrecision(plain).nodes.filter(({ op }) => op.kind === 'scan');
    const histories = scan!.outputs.filter(({ type }) => type.shape[0] === SIZES.steps + 1);
    expect(new Set(histories.map(({ type }) => type.dtype))).toEqual(new Set(['half', 'float']));
  });

  it('is the whole history of a state that enters a product behind the loop', () => {
    const on = new Builder();
    const [x, c0, w] = [
      on.input('x', float(5, 2, 3)),
      on.input('c0', float(2, 3)),
      on.input('w', float(3, 4)),
    ];
    const { stacks } = on.scan(
      { length: 5, constants: [], initial: [c0], xs: [x] },
      (body, { carries, xs }) => {
        const next = body.call('tanh', body.add(carries[0]!, xs[0]!));
        return { carries: [next], stacks: [next] };
      },
    );
    const rows = on.reshape(stacks[0]!, [10, 3]);
    const program = mixedPrecision(on.build({ product: on.gemm(rows, w) }));
    const scan = program.nodes.find(({ op }) => op.kind === 'scan')!;
    expect(scan.outputs.map(({ type }) => type.dtype)).toEqual(['half']);
    // No pass over memory but those for w and c0.
    expect(program.nodes.filter(({ op }) => op.kind === 'map')).toHaveLength(2);
  });

  it('has derivatives that pass straight through', () => {
    const on = new Builder();
    const x = on.input('x', float(5));
    const [slope] = gradient(on, on.sumAll(on.mul(on.call('half', x), on.constant(3))), [x]);
    expect([
      ...interpret(on.build({ slope: slope! }), { x: Float64Array.of(0.1, -2, 1e-9, 7e4, 0) }).slope!,
    ]).toEqual(new Array(5).fill(3));
  });
});
