/** Segments of long sequences under a model: independent with a state of zero, truncated BPTT with a carried one. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { CounterRandom } from '../../src/data/random.js';
import { SegmentStream } from '../../src/data/segments.js';
import { type SequenceBatch, type SequenceSource, SequenceStream } from '../../src/data/sequences.js';
import { SequenceModel, type SequenceModelConfig } from '../../src/model/sequence-model.js';
import { gradient } from '../../src/program/adjoint.js';
import { Builder } from '../../src/program/builder.js';
import { float, sizeOf } from '../../src/program/program.js';
import tbptt from '../fixtures/tbptt.json' with { type: 'json' };
import { expectClose } from '../support/numbers.js';

type Data = Record<string, Float64Array | Int32Array>;

const FEATURES = 2;

/** Sequences with a class at every step, all of the same length unless `lengths` says otherwise. */
function source(steps: number, count: number, lengths?: readonly number[]): SequenceSource {
  const random = new CounterRandom(9);
  const numbers = Array.from({ length: count * steps }, () => [random.normal(), random.normal()]);
  return {
    ...{ count, steps, features: FEATURES, target: { kind: 'classes', size: 2, perStep: true } },
    masked: lengths !== undefined,
    write(index, { inputs, targets, mask, place, batch }) {
      for (let t = 0; t < steps; t++) {
        const at = t * batch + place;
        if (lengths !== undefined && t >= lengths[index]!) mask![at] = 0;
        else {
          inputs.set(numbers[index * steps + t]!, at * FEATURES);
          targets[at] = numbers[index * steps + t]![0]! > 0 ? 1 : 0;
        }
      }
    },
  };
}

const model = (changes: Partial<SequenceModelConfig>) =>
  new SequenceModel({
    ...{ cell: 'lstm', features: FEATURES, hidden: 3, layers: 2, outputs: 2, perStep: true },
    loss: 'softmax-cross-entropy',
    ...changes,
  });

/** Loss, gradient of theta and the state behind a batch, begun with `state` as a constant. */
function run(of: SequenceModel, theta: Float64Array, batch: SequenceBatch, steps: number, state: Data) {
  const on = new Builder();
  const r = batch.inputs.length / steps / of.config.features;
  const named = (types: ReturnType<SequenceModel['batchTypes']>, prefix = '') =>
    Object.fromEntries(
      Object.entries(types).map(([name, type]) => [name, on.input(`${prefix}${name}`, type)]),
    );
  const weights = on.input('theta', float(of.parameters.size));
  const shapes = Object.entries(of.stateShapes(r));
  const { loss, state: after } = of.forward(on, {
    theta: weights,
    batch: named(of.batchTypes(steps, r)),
    state: named(Object.fromEntries(shapes.map(([name, shape]) => [name, float(...shape)])), 'state '),
  });
  const program = on.build({ loss, gradient: gradient(on, loss, [weights])[0]!, ...after });
  const before = shapes.map(([name, shape]) => [
    `state ${name}`,
    state[name] ?? new Float64Array(sizeOf(shape)),
  ]);
  const { inputs, targets, weight, mask } = batch;
  const data = { theta, inputs, targets, weight, ...(mask && { mask }), ...Object.fromEntries(before) };
  const { loss: value, gradient: bar, ...rest } = interpret(program, data as Data);
  return { loss: value![0]!, gradient: bar as Float64Array, state: rest as Data };
}

/** Loss and gradient, summed over the targets of all batches; the state goes from batch to batch. */
function total(
  of: SequenceModel,
  theta: Float64Array,
  batches: readonly SequenceBatch[],
  steps: number,
  start: Data = {},
) {
  let state = start;
  let loss = 0;
  const sum = new Float64Array(theta.length);
  const each = batches.map((batch) => {
    if (batch.resetsState) state = start;
    const result = run(of, theta, batch, steps, state);
    state = result.state;
    loss += result.loss * batch.targetCount;
    for (const [i, x] of result.gradient.entries()) sum[i]! += x * batch.targetCount;
    return result;
  });
  return { loss, gradient: sum, each, state };
}

async function collect(stream: SegmentStream | SequenceStream) {
  const batches: SequenceBatch[] = [];
  for await (const batch of stream.epoch()) batches.push(batch);
  return batches;
}

describe('a state of zero', () => {
  test('segments are independent sequences, whatever their lengths (Sherstinsky, Proposition 1)', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 3 }),
        fc.constantFrom('lstm', 'vanilla-lstm', 'standard-rnn', 'augmented-lstm'),
        async (lengths, r, cell) => {
          const T = lengths.reduce((sum, each) => sum + each, 0);
          const long = source(T, r);
          const stream = new SegmentStream(new SequenceStream(long, { batch: r }), lengths);
          const { steps, masked } = stream.shape;
          const of = model({ cell, layers: 1, masked });
          const theta = of.parameters.initial(new CounterRandom(2));
          const segments = total(of, theta, await collect(stream), steps);
          // Each piece of each sequence by itself, without a mask.
          const alone = model({ cell, layers: 1 });
          const begins = lengths.map((_, m) => lengths.slice(0, m).reduce((sum, each) => sum + each, 0));
          const pieces = lengths.flatMap((length, m) =>
            Array.from({ length: r }, (_, j) => {
              const [whole] = [new SequenceStream(pick(long, j), { batch: 1 }).at(0)];
              const cut = <N extends Float32Array | Int32Array>(numbers: N, n: number) =>
                numbers.subarray(begins[m]! * n, (begins[m]! + length) * n) as N;
              const batch: SequenceBatch = {
                ...whole,
                inputs: cut(whole.inputs, FEATURES),
                targets: cut(whole.targets, 1),
                weight: new Float32Array(length).fill(1),
                targetCount: 1,
              };
              return total(alone, theta, [batch], length);
            }),
          );
          const loss = pieces.reduce((sum, piece) => sum + piece.loss, 0);
          const bar = theta.map((_, i) => pieces.reduce((sum, piece) => sum + piece.gradient[i]!, 0));
          // The weights of a batch are float32.
          expectClose([segments.loss], [loss], 2e-7, 'loss');
          expectClose(segments.gradient, bar, 1e-6, 'gradient');
        },
      ),
      { numRuns: 25 },
    );
  });
});

/** One sequence of a source. */
const pick = (of: SequenceSource, index: number): SequenceSource => ({
  ...of,
  count: 1,
  write: (_, slot) => of.write(index, slot),
});

describe('a carried state', () => {
  test('one segment is the whole sequence', async () => {
    const whole = new SequenceStream(source(5, 4), { batch: 2 });
    const of = model({ carried: true });
    const theta = of.parameters.initial(new CounterRandom(2));
    const expected = total(model({}), theta, await collect(whole), 5);
    const actual = total(of, theta, await collect(new SegmentStream(whole, 5)), 5);
    expect(actual.loss).toBe(expected.loss);
    expect(actual.gradient).toEqual(expected.gradient);
  });

  test.each<[number | number[], number[] | undefined]>([
    [2, undefined],
    [[1, 4, 2], undefined],
    [3, [7, 1, 4]],
    [2, [4, 3, 1]],
  ])('cuts the gradient and not the values: segments of %j, lengths %j', async (segments, lengths) => {
    const whole = new SequenceStream(source(7, 3, lengths), { batch: 3 });
    const stream = new SegmentStream(whole, segments);
    const of = model({ carried: true, masked: stream.shape.masked });
    const theta = of.parameters.initial(new CounterRandom(2));
    const batches = await collect(stream);
    const cut = total(of, theta, batches, stream.shape.steps);
    const full = model({ carried: true, masked: lengths !== undefined });
    const expected = total(full, theta, [whole.at(0)], 7);
    expectClose([cut.loss], [expected.loss], 2e-7, 'loss');
    expect(cut.gradient).not.toEqual(expected.gradient);
    // Held behind each sequence's end.
    for (const [name, values] of Object.entries(expected.state))
      expectClose(cut.state[name]!, values, 1e-14, `state ${name}`);
    // Segments behind the end of all sequences are left out.
    const longest = Math.max(...(lengths ?? [7]));
    expect(batches.length).toBe(
      typeof segments === 'number' ? Math.ceil(longest / segments) : segments.length,
    );
  });

  test('gives the losses and gradients of the golden truncated BPTT', () => {
    const golden = tbptt.cases.find(({ name }) => name === 'tbptt-lstm-1layer-softmax_ce-mean_batch')!;
    const {
      T,
      r,
      c,
      hidden_size: hidden,
      input_size: features,
    } = golden.config as unknown as Record<string, number>;
    const data = golden.data as unknown as Record<string, { data: number[] }>;
    const long: SequenceSource = {
      ...{ count: r!, steps: T!, features: features!, masked: false },
      target: { kind: 'classes', size: c!, perStep: true },
      write(index, { inputs, targets, place, batch }) {
        for (let t = 0; t < T!; t++) {
          const row = t * r! + index;
          inputs.set(
            data.X!.data.slice(row * features!, (row + 1) * features!),
            (t * batch + place) * features!,
          );
          targets[t * batch + place] = data.target!.data.slice(row * c!, (row + 1) * c!).indexOf(1);
        }
      },
    };
    const of = model({ layers: 1, features: features!, hidden: hidden!, outputs: c!, carried: true });
    const theta = new Float64Array(of.parameters.size);
    const nameOf: Record<string, string> = { W_y: 'head.weight', b_y: 'head.bias' };
    const partOf = (vector: Float64Array, name: string) =>
      of.parameters.part(vector, nameOf[name] ?? `lstm.${name}_l0`.replace('_l0_l0', '_l0'));
    for (const [name, { data: values }] of Object.entries(golden.params)) partOf(theta, name).set(values);
    const stream = new SegmentStream(new SequenceStream(long, { batch: r! }), golden.chunk);
    const batches = golden.accumulate.chunks.map((_, m) => stream.at(m));
    const start = { h: Float64Array.from(data.h0!.data), c: Float64Array.from(data.c0!.data) };
    const { each } = total(of, theta, batches, golden.chunk, start);
    for (const [m, chunk] of golden.accumulate.chunks.entries()) {
      // Its loss is a sum over the steps, ours their mean; inputs are float32 here.
      expectClose([golden.chunk * each[m]!.loss], [chunk.loss], 1e-6, `loss ${m}`);
      for (const [name, { data: values }] of Object.entries(chunk.grads as unknown as typeof data)) {
        if (!(name in golden.params)) continue;
        const found = Array.from(partOf(each[m]!.gradient, name), (x) => golden.chunk * x);
        expectClose(found, values, 2e-6, `${name} ${m}`);
      }
    }
  });

  test.each<[Partial<SequenceModelConfig>, string]>([
    [{ bidirectional: true }, 'bidirectional'],
    [{ attention: true }, 'attention'],
  ])('is refused with %j', (changes, where) => {
    expect(() => model({ ...changes, carried: true })).toThrow(
      expect.objectContaining({ code: 'OPTION', where }),
    );
  });
});
