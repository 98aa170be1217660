/** One small program for each primitive: what transforms, the scheduler and every backend are tested on. */
import type { Builder } from '../../src/program/builder.js';
import { float, int, sizeOf, type Value } from '../../src/program/program.js';

/** Builds y from inputs; `wrt` names those that move. Integer inputs hold ids below 3. */
export interface Case {
  readonly name: string;
  readonly build: (b: Builder) => { readonly y: Value; readonly wrt: readonly Value[] };
}

/** Rows less their means, over the root of their variances; and the means [..., 1]. */
function normalised(b: Builder, x: Value): { normal: Value; mean: Value } {
  const { shape } = x.type;
  const meanOf = (v: Value) =>
    b.mul(b.reshape(b.sum(v, [shape.length - 1]), [...shape.slice(0, -1), 1]), b.constant(1 / shape.at(-1)!));
  const mean = meanOf(x);
  const centred = b.sub(x, mean);
  const deviation = b.call('sqrt', b.add(meanOf(b.mul(centred, centred)), b.constant(0.1)));
  return { normal: b.call('div', centred, deviation), mean };
}

const unaries = ['exp', 'tanh', 'sigmoid', 'relu', 'softplus', 'neg'] as const;
const positives = ['log', 'sqrt'] as const;

export const cases: Case[] = [
  ...unaries.map(
    (fn): Case => ({
      name: fn,
      build: (b) => {
        const x = b.input('x', float(3, 5));
        return { y: b.call(fn, x), wrt: [x] };
      },
    }),
  ),
  ...positives.map(
    (fn): Case => ({
      name: fn,
      build: (b) => {
        const x = b.input('x', float(3, 5));
        return { y: b.call(fn, b.add(b.mul(x, x), b.constant(0.5))), wrt: [x] };
      },
    }),
  ),
  ...(['add', 'sub', 'mul', 'max', 'min'] as const).map(
    (fn): Case => ({
      name: `${fn}, broadcast`,
      build: (b) => {
        const x = b.input('x', float(4, 1, 3));
        const y = b.input('y', float(2, 1));
        return { y: b.call(fn, x, y), wrt: [x, y] };
      },
    }),
  ),
  {
    name: 'div',
    build: (b) => {
      const x = b.input('x', float(2, 3));
      const y = b.input('y', float(3));
      return { y: b.call('div', x, b.call('exp', y)), wrt: [x, y] };
    },
  },
  {
    name: 'select',
    build: (b) => {
      const x = b.input('x', float(2, 3));
      const y = b.input('y', float(2, 3));
      return { y: b.call('select', b.call('greater', x, y), b.mul(x, x), b.call('exp', y)), wrt: [x, y] };
    },
  },
  ...[false, true].flatMap((transA) =>
    [false, true].flatMap((transB) =>
      [0, 3].map(
        (batch): Case => ({
          name: `gemm${transA ? 'T' : 'N'}${transB ? 'T' : 'N'}${batch ? ' batched' : ''}`,
          build: (b) => {
            const lead = batch ? [batch] : [];
            const x = b.input('x', float(...lead, ...(transA ? [4, 2] : [2, 4])));
            const y = b.input('y', float(...lead, ...(transB ? [5, 4] : [4, 5])));
            return { y: b.gemm(x, y, { transA, transB }), wrt: [x, y] };
          },
        }),
      ),
    ),
  ),
  {
    name: 'views',
    build: (b) => {
      const x = b.input('x', float(4, 6));
      const parts = b.split(x, 1, 3);
      const joined = b.concat([b.mul(parts[2]!, parts[0]!), parts[1]!, b.slice(x, 1, 1, 3)], 1);
      return { y: b.transpose(b.reshape(joined, [2, 2, 7]), [2, 0, 1]), wrt: [x] };
    },
  },
  {
    name: 'sum and broadcast',
    build: (b) => {
      const x = b.input('x', float(2, 3, 4));
      const s = b.sum(b.mul(x, x), [0, 2]);
      return { y: b.mul(b.broadcast(b.reshape(s, [3, 1]), [3, 4]), b.sum(x, [0])), wrt: [x] };
    },
  },
  ...([0, 1] as const).flatMap((axis): Case[] => [
    {
      name: `gather axis ${axis}`,
      build: (b) => {
        const table = b.input('table', axis === 0 ? float(3, 4) : float(4, 3));
        const y = b.gather(table, b.input('ids', int(2, 3)), axis);
        return { y: b.mul(y, y), wrt: [table] };
      },
    },
    {
      name: `scatterAdd axis ${axis}`,
      build: (b) => {
        const values = b.input('values', float(2, 3, 4));
        const y = b.scatterAdd(b.input('ids', int(2, 3)), b.mul(values, values), 3, axis);
        return { y: b.mul(y, y), wrt: [values] };
      },
    },
  ]),
  {
    name: 'softmax',
    build: (b) => {
      const x = b.input('x', float(3, 4));
      return { y: b.softmax(x), wrt: [x] };
    },
  },
  ...(['int', 'float'] as const).map(
    (dtype): Case => ({
      name: `softmaxCrossEntropy, ${dtype === 'int' ? 'classes' : 'dense'}, loss and gradient`,
      build: (b) => {
        const x = b.input('x', float(2, 2, 3));
        const target = b.input('ids', dtype === 'int' ? int(2, 2) : float(2, 2, 3));
        const { loss, gradient } = b.softmaxCrossEntropy(x, target, b.input('w', float(2, 2)));
        return { y: b.add(gradient, b.reshape(loss, [2, 2, 1])), wrt: [x] };
      },
    }),
  ),
  {
    name: 'rows normalised by their mean and variance, and the means',
    build: (b) => {
      const x = b.input('x', float(2, 3, 5));
      const { normal, mean } = normalised(b, x);
      return { y: b.mul(b.call('tanh', normal), b.call('exp', mean)), wrt: [x] };
    },
  },
  ...([1, -1] as const).map(
    (direction): Case => ({
      name: `scan, direction ${direction}: a state that is normalised by rows, with the means beside it`,
      build: (b) => {
        const w = b.input('w', float(5, 5));
        const h0 = b.input('h0', float(3, 5));
        const x = b.input('x', float(4, 3, 5));
        const { finals, stacks } = b.scan(
          { length: 4, direction, constants: [w], initial: [h0, b.full([3, 1], 0)], xs: [x] },
          (s, { constants: [w], carries: [h, m], xs: [x] }) => {
            const { normal, mean } = normalised(s, s.add(s.call('tanh', s.linear(h!, w!)), x!));
            const next = s.mul(s.call('sigmoid', normal), s.add(x!, m!));
            return { carries: [next, s.add(m!, mean)], stacks: [s.call('exp', mean)] };
          },
        );
        const flat = (v: Value) => b.reshape(v, [sizeOf(v.type.shape)]);
        return { y: b.concat([...finals, ...stacks].map(flat), 0), wrt: [w, h0, x] };
      },
    }),
  ),
  ...([1, -1] as const).map(
    (direction): Case => ({
      name: `scan, direction ${direction}: every kind of port, a carry that does not start out moving`,
      build: (b) => {
        const w = b.input('w', float(3, 3));
        const h0 = b.input('h0', float(2, 3));
        const x = b.input('x', float(4, 2, 3));
        const { node, finals, stacks, sums } = b.scan(
          { length: 4, direction, constants: [w], initial: [h0, b.full([2, 3], 0)], xs: [x] },
          (s, { constants: [w], carries: [h, c], xs: [x] }) => {
            const a = s.add(s.linear(h!, w!), x!);
            const next = s.call('tanh', a);
            const c1 = s.add(s.mul(c!, s.call('sigmoid', a)), next);
            return { carries: [next, c1], stacks: [s.mul(c1, next), next], sums: [s.mul(a, c1)] };
          },
        );
        const history = b.port(node, { kind: 'history', carry: 0 });
        const flat = (v: Value) => b.reshape(v, [sizeOf(v.type.shape)]);
        return { y: b.concat([...finals, ...stacks, ...sums, history].map(flat), 0), wrt: [w, h0, x] };
      },
    }),
  ),
];

/** Ids below 3 for integer inputs. */
export const ids = (_: string, type: { shape: readonly number[] }) =>
  Array.from({ length: sizeOf(type.shape) }, (_, i) => (i * 5 + 1) % 3);
