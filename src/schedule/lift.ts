/** Lifting: what a step computes at each time, computed for all times at once, with a leading axis T. */
import type { Builder } from '../program/builder.js';
import { type Node, sizeOf, type Value } from '../program/program.js';

/** A value of a step: the same at every time, or with a leading time axis. */
export interface Lifted {
  readonly value: Value;
  readonly overTime: boolean;
}

/** A step's node for all `length` times, its inputs lifted already. */
export function lift(on: Builder, node: Node, inputs: readonly Lifted[], length: number): Lifted[] {
  const { op } = node;
  if (!inputs.some((x) => x.overTime) && op.kind !== 'random')
    return on
      .replay(
        node,
        inputs.map((x) => x.value),
      )
      .map((value) => ({ value, overTime: false }));
  const over = (...values: Value[]): Lifted[] => values.map((value) => ({ value, overTime: true }));
  const [x, y, z] = inputs as [Lifted, Lifted, Lifted];
  switch (op.kind) {
    case 'map': {
      const rank = node.outputs[0]!.type.shape.length;
      return over(on.call(op.fn, ...inputs.map((v) => (v.overTime ? padRank(on, v.value, rank) : v.value))));
    }
    case 'gemm': {
      const [m, n] = node.outputs[0]!.type.shape.slice(-2) as [number, number];
      const rank = node.outputs[0]!.type.shape.length;
      if (rank === 2 && x.overTime && !y.overTime && !op.transA) {
        const rows = on.reshape(x.value, [length * m, x.value.type.shape[2]!]);
        return over(on.reshape(on.gemm(rows, y.value, op), [length, m, n]));
      }
      const batched = (v: Lifted) => {
        const shape = spread(on, v, length).type.shape;
        return on.reshape(spread(on, v, length), [sizeOf(shape.slice(0, -2)), ...shape.slice(-2)]);
      };
      return over(on.reshape(on.gemm(batched(x), batched(y), op), [length, ...node.outputs[0]!.type.shape]));
    }
    case 'sum':
      return over(
        on.sum(
          x.value,
          op.axes.map((a) => a + 1),
        ),
      );
    case 'reshape':
      return over(on.reshape(x.value, [length, ...op.shape]));
    case 'broadcast':
      return over(on.broadcast(padRank(on, x.value, op.shape.length), [length, ...op.shape]));
    case 'transpose':
      return over(on.transpose(x.value, [0, ...op.permutation.map((p) => p + 1)]));
    case 'slice':
      return over(on.slice(x.value, op.axis + 1, op.start, op.size));
    case 'concat':
      return over(
        on.concat(
          inputs.map((v) => spread(on, v, length)),
          op.axis + 1,
        ),
      );
    case 'gather':
      if (x.overTime) break;
      return over(on.gather(x.value, y.value, op.axis));
    case 'softmax':
      return over(on.softmax(x.value));
    case 'softmaxCrossEntropy': {
      const [o, t, w] = [x, y, z].map((v) => spread(on, v, length)) as [Value, Value, Value];
      const { loss, gradient } = on.softmaxCrossEntropy(o, t, w);
      return over(loss, gradient);
    }
    case 'random':
      // The counter of a step's element i at time t is t * size + i, as it is in one draw of the lifted shape.
      return over(on.random(x.value, [length, ...op.shape], op.stream));
    default:
      break;
  }
  throw new Error(`${op.kind} cannot be lifted over time here`);
}

/** Whether a node can leave the loop with inputs that vary over time as told. */
export function canLift(node: Node, varies: (value: Value) => boolean): boolean {
  const { kind } = node.op;
  if (kind === 'scan' || kind === 'scatterAdd') return false;
  return kind !== 'gather' || !varies(node.inputs[0]!);
}

/**
 * The sum over time of a step's value, found without forming the value at every time where there is a way: the
 * per-step outer products of a weight gradient become one product whose inner dimension runs over steps and
 * samples, the papers' rank-rt update.
 */
export function sumOverTime(on: Builder, value: Value, get: (value: Value) => Lifted, length: number): Value {
  const { op, inputs } = value.node;
  const [x, y] = inputs as [Value, Value];
  const recur = (v: Value) => sumOverTime(on, v, get, length);
  const lifted = () => {
    const { value: v, overTime } = get(value);
    return overTime ? on.sum(v, [0]) : on.mul(v, on.constant(length));
  };
  const movable = inputs.length > 0 && op.kind !== 'input';
  if (!movable) return lifted();
  switch (op.kind) {
    case 'gemm': {
      const [a, b] = [get(x), get(y)];
      if (!isOuter(value) || !a.overTime || !b.overTime) return lifted();
      // [T, k, m] -> [T k, m], and [T, batch, k, m] -> [batch, T k, m].
      const rows = (v: Value) => {
        const [k, m] = v.type.shape.slice(-2) as [number, number];
        if (v.type.shape.length === 3) return on.reshape(v, [length * k, m]);
        return on.reshape(on.transpose(v, [1, 0, 2, 3]), [v.type.shape[1]!, length * k, m]);
      };
      return on.gemm(rows(a.value), rows(b.value), { transA: true });
    }
    case 'scatterAdd': {
      const [ids, values] = [get(x), get(y)];
      if (!ids.overTime && !values.overTime) return lifted();
      return on.scatterAdd(spread(on, ids, length), spread(on, values, length), op.size, op.axis);
    }
    case 'sum': {
      if (isOuter(x)) return on.sum(recur(x), op.axes);
      const v = get(x);
      return v.overTime ? on.sum(v.value, [0, ...op.axes.map((a) => a + 1)]) : lifted();
    }
    case 'reshape':
      return on.reshape(recur(x), op.shape);
    case 'transpose':
      return on.transpose(recur(x), op.permutation);
    case 'concat':
      return on.concat(inputs.map(recur), op.axis);
    case 'map':
      if (op.fn === 'add' && inputs.every((v) => v.type.shape.join() === value.type.shape.join()))
        return on.add(recur(x), recur(y));
      if (op.fn === 'neg' && isOuter(x)) return on.call('neg', recur(x));
      if (op.fn === 'mul' && isOuter(x) && isConstant(y)) return on.mul(recur(x), get(y).value);
      return lifted();
    case 'broadcast':
      return isOuter(x) ? on.broadcast(recur(x), op.shape) : lifted();
    default:
      return lifted();
  }
}

/** Whether a value is an outer product of rows, or what its sum over time comes before: linear in such a product. */
function isOuter({ node: { op, inputs } }: Value): boolean {
  if (op.kind === 'gemm') return op.transA && !op.transB;
  if (op.kind === 'map')
    return (op.fn === 'neg' || (op.fn === 'mul' && isConstant(inputs[1]!))) && isOuter(inputs[0]!);
  return ['sum', 'reshape', 'broadcast'].includes(op.kind) && isOuter(inputs[0]!);
}

const isConstant = ({ node }: Value): boolean => node.op.kind === 'constant';

/** [T, ...shape] with ones between, so that broadcasting aligns the step's axes. */
function padRank(on: Builder, value: Value, rank: number): Value {
  const [length, ...shape] = value.type.shape;
  return on.reshape(value, [length!, ...new Array<number>(rank - shape.length).fill(1), ...shape]);
}

function spread(on: Builder, { value, overTime }: Lifted, length: number): Value {
  return overTime ? value : on.broadcast(value, [length, ...value.type.shape]);
}
