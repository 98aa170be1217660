import type { Builder } from '../program/builder.js';
import type { Value } from '../program/program.js';

/** The identity, [n, n]. */
export const unitMatrix = (on: Builder, n: number): Value =>
  on.call('equal', on.iota([n, 1], 0), on.iota([1, n], 1));
