/**
 * How the derivative of a scan reaches the values of the steps it is the derivative of. The derivative is a scan
 * of its own; what it needs of step t comes to it as a constant, as a slice of something stacked over time, or,
 * when that is cheaper than storing, computed again.
 */
import type { Builder } from './builder.js';
import type { FunctionName } from './functions.js';
import { bodyInputs, isColumn, type Node, type ScanOp, sameShape, type Value } from './program.js';
import type { Captured } from './scan-spec.js';

const ARITHMETIC: ReadonlySet<FunctionName> = new Set(['add', 'sub', 'mul', 'neg']);

export class Residuals {
  readonly #op: ScanOp;
  readonly #known = new Map<Value, Value>();
  readonly #atHand = new Map<Value, boolean>();
  /** Inputs of the derivative's scan that stand for the primal's: for `StepOutputs.captured`. */
  readonly constants: Captured[] = [];
  readonly xs: Captured[] = [];

  constructor(
    private readonly outer: Builder,
    private readonly scan: Node,
    private readonly inner: Builder,
  ) {
    this.#op = scan.op as ScanOp;
  }

  /** The value, inside the derivative's body, of a value of the primal body at the same step. */
  readonly get = (value: Value): Value => {
    let found = this.#known.get(value);
    if (found === undefined) this.#known.set(value, (found = this.#reach(value)));
    return found;
  };

  #reach(value: Value): Value {
    const { constants } = bodyInputs(this.#op);
    const index = constants.indexOf(value);
    if (index >= 0) {
      const outer = this.scan.inputs[index]!;
      const inner = this.inner.input(`residual${this.#known.size}`, outer.type);
      this.constants.push({ outer, inner });
      return inner;
    }
    if (this.#isFree(value))
      return this.inner.replay(value.node, value.node.inputs.map(this.get))[value.port]!;
    const outer = this.outer.stackOf(this.scan, value);
    const inner = this.inner.input(`residual${this.#known.size}`, value.type);
    this.xs.push({ outer, inner });
    return inner;
  }

  /**
   * Worth computing again: views of the whole, whatever is had from constants and inputs of the step alone, and
   * arithmetic that turns one stored value into another of its size with what is at hand or a number a row.
   */
  #isFree(value: Value): boolean {
    const { op, inputs } = value.node;
    if (op.kind === 'constant' || op.kind === 'iota') return true;
    if (op.kind === 'reshape' || op.kind === 'transpose' || op.kind === 'broadcast') return true;
    // A slice of what is not at hand is stored by itself, not with all that surrounds it.
    if (op.kind === 'slice') return this.#isAtHand(inputs[0]!);
    if (op.kind !== 'map') return false;
    const others = new Set(inputs.filter((v) => !this.#isAtHand(v) && !isColumn(v)));
    if (others.size === 0) return true;
    if (isColumn(value) || !ARITHMETIC.has(op.fn)) return false;
    const [other] = others;
    return others.size === 1 && sameShape(other!.type.shape, value.type.shape);
  }

  #isAtHand(value: Value): boolean {
    let known = this.#atHand.get(value);
    if (known === undefined) this.#atHand.set(value, (known = this.#decideAtHand(value)));
    return known;
  }

  #decideAtHand(value: Value): boolean {
    const { constants, xs } = bodyInputs(this.#op);
    if (constants.includes(value) || xs.includes(value)) return true;
    const { kind } = value.node.op;
    if (kind === 'constant' || kind === 'iota') return true;
    return kind !== 'input' && value.node.inputs.every((v) => this.#isAtHand(v)) && this.#isFree(value);
  }
}
