/**
 * Copies of matrix operands in the order in which the microkernel reads them, so that it walks through memory
 * once, contiguously, whatever the operand's strides.
 */
import type { Expression, FunctionBuilder, Local } from './assembler.js';
import { f32x4, i32, load, loadLane, store } from './expression.js';

/** A matrix as groups of `width` neighbours along `across`, each followed along `along`. In elements. */
export interface Packing {
  /** The byte address of the first element. */
  readonly source: Expression;
  readonly destination: Expression;
  readonly across: { readonly stride: number; readonly extent: Expression };
  readonly along: { readonly stride: number; readonly extent: number };
  readonly width: number;
}

/**
 * destination[group][along][width] = source[group * width + i, along]; where a last group is not full, the
 * rest of it is 0. Width is a multiple of 4.
 */
export function pack(f: FunctionBuilder, packing: Packing): void {
  const { across, along, width } = packing;
  const from = f.local('i32');
  const to = f.local('i32');
  const left = f.local('i32');
  const get = (local: Local): Expression => f.variable(local);

  const group = (copy: () => void): void => {
    f.for(i32.constant(0), i32.constant(along.extent), 1, () => {
      copy();
      f.set(from, i32.plus(get(from), 4 * along.stride));
      f.set(to, i32.plus(get(to), 4 * width));
    });
  };
  const rewind = 4 * (width * across.stride - along.extent * along.stride);
  f.set(from, packing.source);
  f.set(to, packing.destination);
  f.set(left, across.extent);
  f.while(i32.atLeast(get(left), i32.constant(width)), () => {
    group(() => {
      for (let i = 0; i < width; i += 4) {
        store(f, 'v128.store', get(to), 4 * i, four(get(from), i, across.stride));
      }
    });
    f.set(from, i32.plus(get(from), rewind));
    f.set(left, i32.plus(get(left), -width));
  });
  f.if(i32.greater(get(left), i32.constant(0)), () => {
    group(() => {
      for (let i = 0; i < width; i += 4) {
        store(f, 'v128.store', get(to), 4 * i, f32x4.constant(0));
      }
      f.for(i32.constant(0), get(left), 1, (i) => {
        const bytes = i32.mul(i, i32.constant(4));
        const element = load('i32.load', i32.add(get(from), i32.mul(bytes, i32.constant(across.stride))), 0);
        store(f, 'i32.store', i32.add(get(to), bytes), 0, element);
      });
    });
  });
}

/** Elements i .. i + 3. */
function four(address: Expression, i: number, stride: number): Expression {
  if (stride === 1) return load('v128.load', address, 4 * i);
  let elements = load('v128.load32_zero', address, 4 * i * stride);
  for (let lane = 1; lane < 4; lane++) {
    elements = loadLane(address, 4 * (i + lane) * stride, lane, elements);
  }
  return elements;
}
