/**
 * What a cell is written in: functions on terms, so that a file of `src/cells/` reads like its paper. A term is a
 * value of one time step, [r, features]; parameters are [m, n] or [m].
 */
import type { Builder } from '../program/builder.js';
import type { FunctionName } from '../program/functions.js';
import type { Value } from '../program/program.js';

export class Term {
  constructor(
    readonly on: Builder,
    readonly value: Value,
  ) {}
}

const call = (fn: FunctionName, ...terms: [Term, ...Term[]]): Term =>
  new Term(terms[0].on, terms[0].on.call(fn, ...terms.map((t) => t.value)));

/** The sum of all terms, elementwise; a bias [m] is added to each row. */
export const add = (first: Term, ...rest: Term[]): Term =>
  rest.reduce((sum, term) => call('add', sum, term), first);

export const sub = (a: Term, b: Term): Term => call('sub', a, b);

/** The elementwise product of all terms. */
export const mul = (first: Term, ...rest: Term[]): Term =>
  rest.reduce((product, term) => call('mul', product, term), first);

export const sigmoid = (a: Term): Term => call('sigmoid', a);

export const tanh = (a: Term): Term => call('tanh', a);

export const relu = (a: Term): Term => call('relu', a);

/** 1 - a */
export const complement = (a: Term): Term => new Term(a.on, a.on.sub(a.on.constant(1), a.value));

/** W z for each sample: [r, n] and W [m, n] give [r, m]. Integers z [r] stand for one-hot vectors: a column of W. */
export const linear = (z: Term, weight: Term): Term =>
  new Term(
    z.on,
    z.value.type.dtype === 'int' ? z.on.gather(weight.value, z.value, 1) : z.on.linear(z.value, weight.value),
  );

/** The features in equal parts: the gates of a stacked product. */
export const split = (a: Term, parts: number): Term[] =>
  a.on.split(a.value, a.value.type.shape.length - 1, parts).map((v) => new Term(a.on, v));
