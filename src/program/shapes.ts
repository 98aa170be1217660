/** The shape rule of every primitive: what fits, and what comes out. */
import { KronogradError } from '../errors.js';
import { functions } from './functions.js';
import { type DType, type Op, type Shape, sameShape, sizeOf, type Type, typeText } from './program.js';

function fail(op: Op, inputs: readonly Type[], why: string): never {
  const name = op.kind === 'map' ? op.fn : op.kind;
  throw new KronogradError('SHAPE', `${name}(${inputs.map(typeText).join(', ')}): ${why}`, {
    where: `primitive ${name}`,
    fix: 'check the shapes of the operands named above',
  });
}

/** NumPy's broadcasting; null when the shapes do not fit. */
function broadcastShapes(shapes: readonly Shape[]): Shape | null {
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  const out: number[] = [];
  for (let axis = 0; axis < rank; axis++) {
    let size = 1;
    for (const shape of shapes) {
      const d = shape[axis - (rank - shape.length)] ?? 1;
      if (d === 1 || d === size) continue;
      if (size !== 1) return null;
      size = d;
    }
    out.push(size);
  }
  return out;
}

/** The types of a node's outputs (a scan's are asked for port by port instead). */
export function inferTypes(op: Exclude<Op, { kind: 'input' | 'scan' }>, inputs: readonly Type[]): Type[] {
  const float = (shape: Shape): Type[] => [{ dtype: 'float', shape }];
  const [x, y, z] = inputs as [Type, Type, Type];
  const floats = (...types: Type[]) => {
    if (types.some((t) => t.dtype === 'int')) fail(op, inputs, 'needs floats');
  };
  /** Of what only picks elements: halves stay halves. */
  const kept = (types: readonly Type[]): DType => (types.every((t) => t.dtype === 'half') ? 'half' : 'float');
  switch (op.kind) {
    case 'constant':
      return float([]);
    case 'iota':
      return float(op.shape);
    case 'random':
      if (x.dtype !== 'int' || !sameShape(x.shape, [2])) fail(op, inputs, 'the key must be int[2]');
      return float(op.shape);
    case 'map': {
      if (inputs.length !== functions[op.fn].arity)
        fail(op, inputs, `takes ${functions[op.fn].arity} operands`);
      const shape = broadcastShapes(inputs.map((t) => t.shape));
      if (shape === null) fail(op, inputs, 'the shapes do not broadcast to each other');
      return [{ dtype: op.fn === 'half' ? 'half' : 'float', shape }];
    }
    case 'gemm': {
      floats(x, y);
      const rank = x.shape.length;
      if ((rank !== 2 && rank !== 3) || y.shape.length !== rank)
        fail(op, inputs, 'both must have rank 2, or both 3');
      if (rank === 3 && x.shape[0] !== y.shape[0]) fail(op, inputs, 'the batches differ');
      const [m, k] = op.transA
        ? [x.shape[rank - 1]!, x.shape[rank - 2]!]
        : [x.shape[rank - 2]!, x.shape[rank - 1]!];
      const [l, n] = op.transB
        ? [y.shape[rank - 1]!, y.shape[rank - 2]!]
        : [y.shape[rank - 2]!, y.shape[rank - 1]!];
      if (k !== l) fail(op, inputs, `the inner dimensions differ: ${k} and ${l}`);
      return float(rank === 3 ? [x.shape[0]!, m, n] : [m, n]);
    }
    case 'sum':
      floats(x);
      if (op.axes.some((a) => a < 0 || a >= x.shape.length)) fail(op, inputs, `no axes ${op.axes}`);
      return float(x.shape.filter((_, axis) => !op.axes.includes(axis)));
    case 'reshape':
      if (sizeOf(op.shape) !== sizeOf(x.shape)) fail(op, inputs, `cannot become [${op.shape.join(', ')}]`);
      return [{ dtype: x.dtype, shape: op.shape }];
    case 'broadcast': {
      const shape = broadcastShapes([x.shape, op.shape]);
      if (shape === null || !sameShape(shape, op.shape))
        fail(op, inputs, `cannot become [${op.shape.join(', ')}]`);
      return [{ dtype: x.dtype, shape: op.shape }];
    }
    case 'transpose':
      if (
        !sameShape(
          [...op.permutation].sort((a, b) => a - b),
          x.shape.map((_, i) => i),
        )
      )
        fail(op, inputs, `(${op.permutation}) is no permutation of its axes`);
      return [{ dtype: x.dtype, shape: op.permutation.map((p) => x.shape[p]!) }];
    case 'slice': {
      const d = x.shape[op.axis];
      if (d === undefined || op.start < 0 || op.size < 1 || op.start + op.size > d)
        fail(op, inputs, `no elements ${op.start}..${op.start + op.size} on axis ${op.axis}`);
      return [{ dtype: x.dtype, shape: x.shape.map((e, i) => (i === op.axis ? op.size : e)) }];
    }
    case 'concat': {
      const others = (t: Type) => t.shape.map((d, i) => (i === op.axis ? 0 : d));
      if (
        op.axis >= x.shape.length ||
        inputs.some((t) => (t.dtype === 'int') !== (x.dtype === 'int') || !sameShape(others(t), others(x)))
      )
        fail(op, inputs, `cannot be joined on axis ${op.axis}`);
      const total = inputs.reduce((n, t) => n + t.shape[op.axis]!, 0);
      const dtype = x.dtype === 'int' ? 'int' : kept(inputs);
      return [{ dtype, shape: x.shape.map((d, i) => (i === op.axis ? total : d)) }];
    }
    case 'gather':
      if (x.shape.length !== 2 || y.dtype !== 'int')
        fail(op, inputs, 'needs a table of rank 2 and integer ids');
      return [{ dtype: kept([x]), shape: [...y.shape, x.shape[1 - op.axis]!] }];
    case 'scatterAdd': {
      const width = y.shape[y.shape.length - 1]!;
      if (x.dtype !== 'int' || !sameShape(y.shape, [...x.shape, width]))
        fail(op, inputs, 'needs integer ids and a row of values for each');
      return float(op.axis === 0 ? [op.size, width] : [width, op.size]);
    }
    case 'softmax':
      floats(x);
      if (x.shape.length === 0) fail(op, inputs, 'needs an axis');
      return float(x.shape);
    case 'softmaxCrossEntropy': {
      const rows = x.shape.slice(0, -1);
      floats(x, z);
      if (!sameShape(y.shape, y.dtype === 'int' ? rows : x.shape) || !sameShape(z.shape, rows))
        fail(
          op,
          inputs,
          'needs logits [..., c], classes [...] or a dense target [..., c], and weights [...]',
        );
      return [...float(rows), ...float(x.shape)];
    }
  }
}
