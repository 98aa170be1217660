/** What a scan is built from, and what comes back: the arguments of `Builder.scan`. */
import type { Node, Value } from './program.js';

export interface ScanSpec {
  readonly length: number;
  readonly direction?: 1 | -1;
  readonly constants: readonly Value[];
  readonly initial: readonly Value[];
  /** Each [length, ...]. */
  readonly xs: readonly Value[];
  /** Whether its adjoint computes the steps again instead of storing what it needs of them: less memory, more work. */
  readonly recompute?: boolean;
}

export interface StepInputs {
  readonly constants: readonly Value[];
  readonly carries: readonly Value[];
  readonly xs: readonly Value[];
}

export interface StepOutputs {
  readonly carries: readonly Value[];
  /** Values whose stack [length, ...] is wanted. */
  readonly stacks?: readonly Value[];
  /** Values whose sum over the steps is wanted. */
  readonly sums?: readonly Value[];
  /** Further inputs that the step found it needs: values outside, and the body's inputs that stand for them. */
  readonly captured?: { readonly constants: readonly Captured[]; readonly xs: readonly Captured[] };
}

export interface Captured {
  readonly outer: Value;
  readonly inner: Value;
}

export interface ScanResult {
  readonly node: Node;
  readonly finals: Value[];
  readonly stacks: Value[];
  readonly sums: Value[];
}
