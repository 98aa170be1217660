/** Parameters as one flat vector theta: one buffer to update, clip and save; views of it by name. */
import type { CounterRandom } from '../data/random.js';
import { KronogradError } from '../errors.js';
import type { Builder } from '../program/builder.js';
import { type Shape, sizeOf, type Value } from '../program/program.js';

export interface ParameterSpec {
  readonly name: string;
  readonly shape: Shape;
  /** Half the width of the uniform distribution it starts from, the deviation of a normal one, or the one value. */
  readonly init: { readonly kind: 'uniform' | 'normal' | 'constant'; readonly scale: number };
}

/** Weight [outputs, inputs] and bias [outputs], each U(+-1/sqrt(inputs)) as PyTorch's linear layers begin. */
export function linearSpecs(name: string, inputs: number, outputs: number): ParameterSpec[] {
  const init = { kind: 'uniform', scale: 1 / Math.sqrt(inputs) } as const;
  return [
    { name: `${name}.weight`, shape: [outputs, inputs], init },
    { name: `${name}.bias`, shape: [outputs], init },
  ];
}

export class Parameters {
  readonly #offsets = new Map<string, { spec: ParameterSpec; offset: number }>();
  /** Elements in all. */
  readonly size: number;

  constructor(readonly specs: readonly ParameterSpec[]) {
    let offset = 0;
    for (const spec of specs) {
      this.#offsets.set(spec.name, { spec, offset });
      offset += sizeOf(spec.shape);
    }
    this.size = offset;
  }

  /** A parameter as a view of theta [size]. */
  view(on: Builder, theta: Value, name: string): Value {
    const { spec, offset } = this.#find(name);
    return on.reshape(on.slice(theta, 0, offset, sizeOf(spec.shape)), spec.shape);
  }

  /** A parameter's elements of a flat vector. */
  part<T extends Float32Array | Float64Array>(theta: T, name: string): T {
    const { spec, offset } = this.#find(name);
    return theta.subarray(offset, offset + sizeOf(spec.shape)) as T;
  }

  /** A first theta, the same for the same generator. */
  initial(random: CounterRandom): Float64Array {
    const theta = new Float64Array(this.size);
    for (const { name, init, shape } of this.specs) {
      const part = this.part(theta, name);
      if (init.kind === 'constant') part.fill(init.scale);
      else
        for (let i = 0; i < sizeOf(shape); i++)
          part[i] = init.scale * (init.kind === 'uniform' ? 2 * random.uniform() - 1 : random.normal());
    }
    return theta;
  }

  #find(name: string) {
    const found = this.#offsets.get(name);
    if (found === undefined)
      throw new KronogradError('PROGRAM', `there is no parameter '${name}'`, { where: name });
    return found;
  }
}
