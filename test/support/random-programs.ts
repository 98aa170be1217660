/** Random programs on [3, 3] matrices, some of them inside scans, with the derivatives of a loss at their end. */
import fc from 'fast-check';
import { gradient } from '../../src/program/adjoint.js';
import { Builder } from '../../src/program/builder.js';
import { float, type Program, type Value } from '../../src/program/program.js';
import { tangent } from '../../src/program/tangent.js';

const straight = [
  'tanh',
  'sigmoid',
  'softplus',
  'mul',
  'add',
  'gemm',
  'transpose',
  'softmax',
  'halves',
  'centre',
  'normalise',
  'gates',
] as const;

export type RandomOp =
  | (typeof straight)[number]
  | {
      readonly scan: readonly (typeof straight)[number][];
      readonly direction: 1 | -1;
      readonly stacked: boolean;
    };

export const randomOps: fc.Arbitrary<RandomOp[]> = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom<RandomOp>(...straight) },
    {
      weight: 1,
      arbitrary: fc.record({
        scan: fc.array(fc.constantFrom(...straight), { minLength: 1, maxLength: 4 }),
        direction: fc.constantFrom<1 | -1>(1, -1),
        stacked: fc.boolean(),
      }),
    },
  ),
  { minLength: 1, maxLength: 6 },
);

/** x less the means of its rows. */
const centred = (b: Builder, x: Value): Value =>
  b.sub(x, b.reshape(b.mul(b.sum(x, [1]), b.constant(1 / 3)), [3, 1]));

/** x / sqrt(mean of squares + 1/10), by rows. */
function scaled(b: Builder, x: Value): Value {
  const columns = x.type.shape[1]!;
  const meanSquare = b.mul(b.reshape(b.sum(b.mul(x, x), [1]), [3, 1]), b.constant(1 / columns));
  return b.call('div', x, b.call('sqrt', b.add(meanSquare, b.constant(0.1))));
}

function apply(b: Builder, op: RandomOp, x: Value, w: Value): Value {
  if (typeof op === 'object') {
    const xs = b.mul(b.broadcast(x, [4, 3, 3]), b.full([4, 1, 1], 0.5));
    const { finals, stacks } = b.scan(
      { length: 4, direction: op.direction, constants: [w], initial: [x, w], xs: [xs] },
      (s, { constants: [w], carries: [h, c], xs: [x] }) => {
        let next = s.add(h!, s.gemm(x!, w!));
        for (const inner of op.scan) next = apply(s, inner, next, w!);
        const other = s.call('tanh', s.add(c!, next));
        return { carries: [s.call('tanh', next), other], stacks: [s.mul(next, other)] };
      },
    );
    return op.stacked ? b.sum(stacks[0]!, [0]) : b.add(finals[0]!, finals[1]!);
  }
  switch (op) {
    case 'mul':
      return b.mul(x, w);
    case 'add':
      return b.add(x, b.slice(w, 0, 1, 1));
    case 'gemm':
      return b.gemm(x, w, { transB: true });
    case 'transpose':
      return b.transpose(x, [1, 0]);
    case 'softmax':
      return b.softmax(x);
    case 'halves':
      return b.concat([b.slice(x, 1, 2, 1), b.slice(x, 1, 0, 2)], 1);
    case 'centre':
      return centred(b, x);
    case 'normalise':
      return scaled(b, centred(b, x));
    case 'gates': {
      // Rows that are normalised whole and read in parts.
      const [gate, value] = b.split(scaled(b, b.gemm(x, b.concat([w, x], 1))), 1, 2) as [Value, Value];
      return b.mul(b.call('sigmoid', gate), value);
    }
    default:
      return b.call(op, x);
  }
}

/** The loss of random operations on inputs x and w. */
export function randomLoss(b: Builder, ops: readonly RandomOp[]): { loss: Value; w: Value } {
  const [x, w] = [b.input('x', float(3, 3)), b.input('w', float(3, 3))];
  let y = x;
  for (const op of ops) y = apply(b, op, y, w);
  return { loss: b.sumAll(b.mul(y, b.call('tanh', y))), w };
}

/** Gradient g by w, Hessian products hu and hv along u and v, and the tangent jv, of a loss of random operations. */
export function randomDerivatives(ops: readonly RandomOp[]): Program {
  const b = new Builder();
  const { loss, w } = randomLoss(b, ops);
  const [u, v] = [b.input('u', float(3, 3)), b.input('v', float(3, 3))];
  const [g] = gradient(b, loss, [w]);
  const [hu] = tangent(b, [g!], new Map([[w, u]]));
  const [hv] = tangent(b, [g!], new Map([[w, v]]));
  const [jv] = tangent(b, [loss], new Map([[w, v]]));
  return b.build({ g: g!, hu: hu!, hv: hv!, jv: jv! });
}
