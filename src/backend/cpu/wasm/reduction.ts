/** Sums and maxima that build up in a register. */
import type { Expression, FunctionBuilder, Local } from './assembler.js';
import { f32x4, i32x4, v128 } from './expression.js';
import type { Lanes } from './rows.js';

type Reducer = 'sum' | 'max';

/** The value that changes nothing. */
const neutral: Record<Reducer, number> = { sum: 0, max: -Infinity };
/** NaN stays NaN. */
const combine = { sum: f32x4.add, max: f32x4.max } satisfies Record<Reducer, unknown>;

/** Four partial results, one in each lane, until `finish`. */
export class Reduction {
  readonly #local: Local;

  constructor(
    private readonly f: FunctionBuilder,
    private readonly fn: Reducer,
  ) {
    this.#local = f.local('v128');
  }

  start(): void {
    this.f.set(this.#local, f32x4.constant(neutral[this.fn]));
  }

  add(value: Expression, lanes: Lanes): void {
    const lane0 = i32x4.constant(-1, 0, 0, 0);
    const inUse = lanes === 4 ? value : v128.select(lane0, value, f32x4.constant(neutral[this.fn]));
    this.f.set(this.#local, combine[this.fn](this.#partial, inUse));
  }

  /** The result, in all lanes. */
  finish(): Expression {
    const both = combine[this.fn];
    const lane = (k: number) => f32x4.splatLane(this.#partial, k);
    return this.f.let('v128', both(both(lane(0), lane(1)), both(lane(2), lane(3))));
  }

  get #partial(): Expression {
    return this.f.variable(this.#local);
  }
}
