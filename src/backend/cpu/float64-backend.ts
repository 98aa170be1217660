/** The oracle behind the backends' interface: slow, exact, and with nothing of the scheduler in it. */
import { KronogradError } from '../../errors.js';
import { roundToHalf } from '../../program/half.js';
import { type Program, sameShape, sizeOf, type Type, typeText } from '../../program/program.js';
import type { Backend, Executable, Numbers, Tensor } from '../backend.js';
import { type Data, interpret } from './interpret.js';

class Float64Tensor implements Tensor {
  data: Data;

  constructor(readonly type: Type) {
    const size = sizeOf(type.shape);
    this.data = type.dtype === 'int' ? new Int32Array(size) : new Float64Array(size);
  }

  write(data: ArrayLike<number>): void {
    if (data.length !== this.data.length)
      throw new KronogradError('SHAPE', `${data.length} numbers for ${typeText(this.type)}`, {
        where: 'write',
      });
    this.data.set(this.type.dtype === 'half' ? Float64Array.from(data, roundToHalf) : data);
  }

  async read(): Promise<Numbers> {
    return this.data.slice();
  }

  [Symbol.dispose](): void {}
}

export class Float64Backend implements Backend {
  readonly name = 'cpu-float64';
  readonly description = 'CPU, interpreted, float64';
  readonly capacity = { buffer: Number.POSITIVE_INFINITY, total: Number.POSITIVE_INFINITY };
  readonly halves = false;

  /** @param round what every result goes through: Math.fround shows what float32 alone would do. */
  constructor(private readonly round: ((x: number) => number) | null = null) {}

  tensor(type: Type): Float64Tensor {
    return new Float64Tensor(type);
  }

  async compile(program: Program): Promise<Executable> {
    const { round } = this;
    return {
      arenaBytes: 0,
      dispatches: program.nodes.length,
      run(tensors) {
        const bound = ({ name, type }: { name: string; type: Type }): Float64Tensor => {
          const tensor = tensors[name];
          if (
            !(tensor instanceof Float64Tensor) ||
            !sameShape([sizeOf(tensor.type.shape)], [sizeOf(type.shape)])
          )
            throw new KronogradError('SHAPE', `'${name}' needs a tensor ${typeText(type)} of this backend`, {
              where: name,
            });
          return tensor;
        };
        const inputs = program.inputs.map(({ name, value }) => [
          name,
          bound({ name, type: value.type }).data,
        ]);
        const results = interpret(program, Object.fromEntries(inputs), round);
        for (const { name, updates, value } of program.outputs)
          bound({ name: updates ?? name, type: value.type }).data.set(results[name]!);
      },
      [Symbol.dispose]() {},
    };
  }

  async finish(): Promise<void> {}

  [Symbol.dispose](): void {}
}
