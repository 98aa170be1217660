/** A recurrent cell: its parameters, its state, and one step as equations. Everything else is derived. */
import type { Shape } from '../program/program.js';
import type { Term } from './equations.js';

export interface CellSizes {
  /** Features of x. */
  readonly input: number;
  readonly hidden: number;
  /** Features of the output where a projection makes them fewer; 0: no projection. */
  readonly projection: number;
}

export type Terms = Readonly<Record<string, Term>>;

export interface Cell {
  readonly name: string;
  /** Shapes of the parameters, in the order in which they are listed and stored. */
  readonly parameters: (sizes: CellSizes) => Readonly<Record<string, Shape>>;
  /** Features of each part of the state. */
  readonly state: (sizes: CellSizes) => Readonly<Record<string, number>>;
  /** The part of the state that the layer puts out. */
  readonly output: string;
  /** The state after a step, from the input x [r, n] (or one-hot, as integers [r]), the state before it and the parameters. */
  readonly step: (x: Term, state: Terms, parameters: Terms) => Terms;
}
