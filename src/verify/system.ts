/** How a fixture's case becomes a network: one entry for each system of the format. */

import type { LayerResult } from '../model/recurrent.js';
import type { Builder } from '../program/builder.js';
import type { Value } from '../program/program.js';
import type { FixtureCase } from './fixture.js';

export interface SystemInputs {
  readonly params: Readonly<Record<string, Value>>;
  /** X, target, w, initial states, and the mask where there is one. */
  readonly data: Readonly<Record<string, Value>>;
}

export interface Network {
  /** What the head reads: the Gauss-Newton product passes through it. */
  readonly output: Value;
  readonly loss: Value;
  /** Per-step values by the fixture's names, [T, r, ...]. */
  readonly activations: Readonly<Record<string, Value>>;
  /** The state behind each sequence's end, by the fixture's names. */
  readonly finalState: Readonly<Record<string, Value>>;
  /** Its recurrent layer, where it is one of a paper's cells by itself. */
  readonly layer?: LayerResult;
  /** Which initial state each final state would start as in the next chunk of a longer sequence. */
  readonly carried: Readonly<Record<string, string>>;
}

export interface System {
  /** Null, or why this case cannot be built. */
  readonly unsupported: (given: FixtureCase) => string | null;
  readonly build: (on: Builder, given: FixtureCase, inputs: SystemInputs) => Network;
}
