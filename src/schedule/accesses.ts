/** What a stage reads and writes, each operand with the domain that it is walked over. */
import type { Ref, Scalar, Stage } from '../../kernels/stage.js';

export interface StageAccess {
  readonly direction: 'read' | 'write';
  readonly ref: Ref;
  readonly shape: readonly number[];
  /**
   * Elements that are added to the ref's place: those of the rows that a gather may pick. A list of all that occur,
   * as a stride and a count.
   */
  readonly beside: { readonly stride: number; readonly count: number };
  /** Whether the shape's axes are the stage's domain's: not so of a product's right operand, which all rows share. */
  readonly inDomain: boolean;
}

const alone = { stride: 0, count: 1 };

export function accessesOf(stage: Stage): StageAccess[] {
  const access =
    (direction: 'read' | 'write', shape: readonly number[]) =>
    (ref: Ref, beside = alone): StageAccess => ({ direction, ref, shape, beside, inDomain: true });
  const ofScalars = (scalars: readonly Scalar[], shape: readonly number[]): StageAccess[] => {
    const read = access('read', shape);
    return scalars.flatMap((scalar) => {
      if (scalar.kind === 'random') return [read(scalar.key, { stride: 1, count: 2 })];
      if (scalar.kind !== 'load') return [];
      const { ref, gather } = scalar;
      if (gather === null) return [read(ref)];
      return [read(gather.ids), read(ref, { stride: gather.stride, count: gather.size })];
    });
  };
  switch (stage.kind) {
    case 'pointwise':
    case 'rows': {
      const write = access('write', stage.shape);
      return [...ofScalars(stage.scalars, stage.shape), ...stage.stores.map(({ ref }) => write(ref))];
    }
    case 'gemm': {
      const { batch, rows, columns, terms, scalars, stores } = stage;
      const domain = [batch, rows, columns];
      const write = access('write', domain);
      return [
        ...terms.flatMap(({ depth, a, b, slots }) => [
          access('read', [batch, rows, depth])(a),
          ...[...new Set(slots.map(({ offset }) => offset))].map((offset) => ({
            ...access('read', [batch, depth, columns])({ ...b, offset: b.offset + offset }),
            inDomain: false,
          })),
        ]),
        ...ofScalars(scalars, domain),
        ...stores.map(({ ref }) => write(ref)),
      ];
    }
    case 'reduce': {
      const { kept, reduced, scalars, stores } = stage;
      return [
        ...ofScalars(scalars, [...kept, ...reduced]),
        ...stores.map((ref) => access('write', kept)(ref)),
      ];
    }
    case 'softmax': {
      const domain = [stage.rows, stage.columns];
      return [access('read', domain)(stage.input), access('write', domain)(stage.output)];
    }
    case 'softmaxCrossEntropy': {
      const { rows, columns, logits, target, weight, loss, gradient } = stage;
      const read = access('read', [rows, columns]);
      const readRow = access('read', [rows]);
      return [
        read(logits),
        target.kind === 'dense' ? read(target.ref) : readRow(target.ref),
        readRow(weight),
        ...(loss === null ? [] : [access('write', [rows])(loss)]),
        ...(gradient === null ? [] : [access('write', [rows, columns])(gradient)]),
      ];
    }
    case 'scatterAdd': {
      const { count, size, width, ids, source, target } = stage;
      return [
        access('read', [count])(ids),
        access('read', [count, width])(source),
        access('write', [size, width])(target),
      ];
    }
  }
}

/** How many buffers some stages touch together. */
export const countBuffers = (stages: readonly Stage[]): number =>
  new Set(stages.flatMap((stage) => accessesOf(stage).map(({ ref }) => ref.buffer))).size;

/** An axis of a stage's domain along which it can be divided: parts of it can run alone. */
export interface DomainAxis {
  readonly axis: number;
  readonly size: number;
}

export function divisibleAxes(stage: Stage): DomainAxis[] {
  const all = (shape: readonly number[]) => shape.map((size, axis) => ({ axis, size }));
  switch (stage.kind) {
    case 'pointwise':
      return all(stage.shape);
    case 'rows':
      return all(stage.shape.slice(0, -1));
    case 'gemm':
      return [{ axis: 1, size: stage.rows }];
    case 'reduce':
      return all(stage.kept);
    case 'softmax':
    case 'softmaxCrossEntropy':
      return [{ axis: 0, size: stage.rows }];
    case 'scatterAdd':
      return [];
  }
}
