/**
 * A recurrent cell: its parameters, its state, and one step as equations. Forward pass, BPTT, tangents and
 * curvature products are all derived from it, on every backend.
 */
import { KronogradError } from '../errors.js';
import { Builder } from '../program/builder.js';
import { float, type Shape, sameShape, type Value } from '../program/program.js';
import { type ActivationName, Term } from './equations.js';

export interface CellSizes {
  /** Features of x[t]. */
  readonly input: number;
  readonly hidden: number;
  /** Features of the output where a projection makes them fewer; 0: no projection. */
  readonly projection: number;
}

export type Terms = Readonly<Record<string, Term>>;

/** A plain recurrence: y = W z' + ..., z = f(y), from step to step. */
export interface Recurrence {
  /** The parameter W. */
  readonly matrix: string;
  /** The parameter of a linear path beside it: y = W_s y' + W z' + ... */
  readonly linear?: string;
  readonly activation: ActivationName;
  /** Whether the state is y, or z. */
  readonly carries: 'argument' | 'value';
}

export interface CellDefinition {
  readonly name: string;
  /** Shapes of the parameters, in the order in which they are listed and stored. */
  readonly parameters: (sizes: CellSizes) => Readonly<Record<string, Shape>>;
  /** Features of each part of the state. */
  readonly state: (sizes: CellSizes) => Readonly<Record<string, number>>;
  /** Which of the step's results the layer puts out. */
  readonly output: string;
  /** Steps that x spans: the step at t sees x[t], ..., x[t + window - 1], zero behind the end. 1 unless given. */
  readonly window?: number;
  /** What the hidden size must be a multiple of. 1 unless given. */
  readonly multiple?: number;
  /** Which of the step's results are gates, in (0, 1). None unless given. */
  readonly gates?: readonly string[];
  /** Of cells of the LSTM's kind: the part of the state that a gate alone keeps (Sherstinsky: s and g_cs), and that gate. */
  readonly carousel?: { readonly state: string; readonly gate: string };
  /** Of cells that are one matrix and one activation. */
  readonly recurrence?: Recurrence;
  /** Parameters that begin as one number everywhere, gains above all; the others begin at random. */
  readonly beginsAs?: Readonly<Record<string, number>>;
  /**
   * One step. x is [r, window * input] (or one-hot, as integers [r]); the state is the one before the step. Gives
   * every quantity by its name: those that `state` names carry over, the others can be observed.
   */
  readonly step: (x: Term, state: Terms, parameters: Terms) => Terms;
}

export interface Cell extends CellDefinition {
  readonly window: number;
}

/**
 * Makes a cell, once its definition holds together.
 * @throws KronogradError PROGRAM or SHAPE: a name that nothing defines, a cycle, shapes that do not fit, a state that the step leaves out or whose
 * shape it changes, a parameter that nothing uses.
 */
export function defineCell(definition: CellDefinition): Cell {
  const { name } = definition;
  const window = definition.window ?? 1;
  const cell: Cell = { ...definition, window };
  // Different primes, so that sizes in the wrong place do not fit by chance.
  const sizes = { input: 2, hidden: 5 * (definition.multiple ?? 1), projection: 0 };
  const { on, parameters, state, next } = inOrder(name, () => exampleStep(cell, sizes));
  for (const [key, before] of Object.entries(state))
    if (!sameShape(next[key]!.type.shape, before.type.shape))
      throw new KronogradError(
        'SHAPE',
        `the state '${key}' enters a step as [${before.type.shape}] and leaves it as [${next[key]!.type.shape}]`,
        { where: `cell '${name}'`, fix: 'a state keeps its shape from step to step' },
      );
  for (const key of Object.keys(definition.beginsAs ?? {}))
    if (!(key in parameters))
      throw new KronogradError('PROGRAM', `'${key}' begins as a number and is no parameter`, {
        where: `cell '${name}'`,
        fix: `it has ${Object.keys(parameters).join(', ')}`,
      });
  requireRoles(definition, { parameters, state, next });
  const used = new Set(on.nodes.flatMap((node) => node.inputs));
  for (const [key, value] of Object.entries(parameters))
    if (!used.has(value))
      throw new KronogradError('PROGRAM', `nothing uses the parameter '${key}'`, {
        where: `cell '${name}'`,
        fix: 'use it in the step, or take it out of the parameters',
      });
  return cell;
}

/** What the cell says of its quantities must be said of quantities that it has. */
function requireRoles(
  { name, output, gates = [], carousel, recurrence }: CellDefinition,
  { parameters, state, next }: Record<'parameters' | 'state' | 'next', Readonly<Record<string, Value>>>,
): void {
  const require = (key: string | undefined, among: Readonly<Record<string, Value>>, what: string) => {
    if (key === undefined || key in among) return;
    throw new KronogradError('PROGRAM', `'${key}' is said to be ${what}, and there is none such`, {
      where: `cell '${name}'`,
      fix: `use one of: ${Object.keys(among).join(', ')}`,
    });
  };
  for (const gate of gates) require(gate, next, 'a gate');
  require(carousel?.gate, next, "the carousel's gate");
  require(carousel?.state, state, "the carousel's state");
  if (carousel) require(output, state, 'the output that a carousel has, which is a part of the state');
  require(recurrence?.matrix, parameters, "the recurrence's matrix");
  require(recurrence?.linear, parameters, "the recurrence's linear path");
}

/** Equations that go in a circle, or name what there is not, are JavaScript's own errors until here. */
function inOrder<Result>(cell: string, step: () => Result): Result {
  try {
    return step();
  } catch (cause) {
    if (!(cause instanceof ReferenceError)) throw cause;
    throw new KronogradError('PROGRAM', `the step reads what it has not defined: ${cause.message}`, {
      where: `cell '${cell}'`,
      fix: 'define each quantity before the equations that read it; what goes in a circle is a state',
      cause,
    });
  }
}

/** Features of what a layer of the cell puts out. */
export const outputFeatures = (cell: Cell, sizes: CellSizes): number =>
  exampleStep(cell, sizes).next[cell.output]!.type.shape[1]!;

/** A step by itself, its parameters, state and x the inputs of a program. */
function exampleStep(cell: Cell, sizes: CellSizes) {
  const on = new Builder();
  const parameters = Object.fromEntries(
    Object.entries(cell.parameters(sizes)).map(([key, shape]) => [key, on.input(key, float(...shape))]),
  );
  const state = Object.fromEntries(
    Object.entries(cell.state(sizes)).map(([key, n]) => [key, on.input(`state ${key}`, float(3, n))]),
  );
  const x = on.input('x', float(3, cell.window * sizes.input));
  return { on, parameters, state, next: runStep(cell, on, x, state, parameters) };
}

export interface StepChanges {
  /** Parts of the state as matrices see them, where they see others. */
  readonly dropped?: Readonly<Record<string, Value>>;
  /** What the derivatives by the accumulations are limited to (see Term); 0 or absent: no limit. */
  readonly clipAccumulations?: number | undefined;
}

/** A step of a cell on values: every quantity by its name. */
export function runStep(
  cell: Cell,
  on: Builder,
  x: Value,
  state: Readonly<Record<string, Value>>,
  parameters: Readonly<Record<string, Value>>,
  { dropped = {}, clipAccumulations = 0 }: StepChanges = {},
): Record<string, Value> {
  const terms = (values: typeof state, what: string, term: (value: Value, key: string) => Term) =>
    named(
      Object.fromEntries(Object.entries(values).map(([key, value]) => [key, term(value, key)])),
      what,
      cell.name,
    );
  const before = terms(
    state,
    'state',
    (value, key) => new Term(on, value, dropped[key], 0, `the state '${key}'`),
  );
  const next = cell.step(
    new Term(on, x, x, 0, 'x'),
    before,
    terms(
      parameters,
      'parameter',
      (value, key) => new Term(on, value, value, clipAccumulations, `the parameter '${key}'`),
    ),
  );
  for (const key of [...Object.keys(state), cell.output])
    if (next[key] === undefined)
      throw new KronogradError('PROGRAM', `the step gives no '${key}'`, {
        where: `cell '${cell.name}'`,
        fix: `return it beside ${Object.keys(next).join(', ')}`,
      });
  // A state that the next step reads through a nonlinearity is an argument of one now; and what is leaves the step as
  // it was read: its derivative is one, wherever it comes from.
  for (const key of Object.keys(state)) if (before[key]!.isArgument) next[key]!.asArgument();
  const read = (term: Term) => (term.isArgument ? term.asArgument() : term).value;
  return Object.fromEntries(Object.entries(next).map(([key, term]) => [key, read(term)]));
}

/** Terms that refuse to be asked for a name they do not have. */
function named(terms: Record<string, Term>, what: string, cell: string): Terms {
  return new Proxy(terms, {
    get(target, key) {
      const term = target[key as string];
      if (term === undefined)
        throw new KronogradError('PROGRAM', `there is no ${what} '${String(key)}'`, {
          where: `cell '${cell}'`,
          fix: `it has ${Object.keys(target).join(', ')}`,
        });
      return term;
    },
  });
}
