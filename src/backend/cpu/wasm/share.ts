/** Work that is divided among threads: every stage function does the share of one of them. */
import type { Expression, FunctionBuilder, ModuleBuilder } from './assembler.js';
import { i32 } from './expression.js';

/**
 * A stage function (t, part, parts): the time, which only matters inside loops, and which share of how many to
 * do. The result does not depend on the number of shares, not even in its last bit.
 */
export const stageFunction = (module: ModuleBuilder): FunctionBuilder => module.function('i32', 'i32', 'i32');

export const timeOf = (f: FunctionBuilder): Expression => f.variable(0);

export interface Range {
  readonly from: Expression;
  readonly to: Expression;
}

/** This call's share of [0, extent), in whole units but for the last. */
export function share(f: FunctionBuilder, extent: number, unit = 1): Range {
  const units = i32.constant(Math.ceil(extent / unit));
  const bound = (part: Expression) => {
    const before = i32.divide(i32.mul(units, part), f.variable(2));
    return f.let('i32', i32.min(f.let('i32', i32.mul(before, i32.constant(unit))), i32.constant(extent)));
  };
  return { from: bound(f.variable(1)), to: bound(i32.plus(f.variable(1), 1)) };
}
