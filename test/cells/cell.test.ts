import { describe, expect, it } from 'vitest';
import { type CellDefinition, defineCell } from '../../src/cells/cell.js';
import { add, linear, type Term, tanh } from '../../src/cells/equations.js';
import { KronogradError } from '../../src/errors.js';

const sound: CellDefinition = {
  name: 'sound',
  parameters: ({ input, hidden }) => ({ W: [hidden, input], U: [hidden, hidden], b: [hidden] }),
  state: ({ hidden }) => ({ h: hidden }),
  output: 'h',
  step: (x, { h }, { W, U, b }) => ({ h: tanh(add(linear(x, W!), b!, linear(h!, U!))) }),
};

describe('a cell definition', () => {
  it('is taken when it holds together', () => expect(defineCell(sound).window).toBe(1));

  it.each<[string, Partial<CellDefinition>, string, RegExp, RegExp]>([
    [
      'an undefined parameter',
      { step: (x, { h }, p) => ({ h: add(linear(x, p.W!), linear(h!, p.V!)) }) },
      'PROGRAM',
      /no parameter 'V'/,
      /W, U, b/,
    ],
    [
      'an undefined state',
      { step: (x, s, { W }) => ({ h: add(linear(x, W!), s.c!) }) },
      'PROGRAM',
      /no state 'c'/,
      /h/,
    ],
    [
      'a state that the step leaves out',
      { step: (x, _, { W }) => ({ a: linear(x, W!) }) },
      'PROGRAM',
      /gives no 'h'/,
      /a/,
    ],
    ['an output that the step leaves out', { output: 'y' }, 'PROGRAM', /gives no 'y'/, /h/],
    [
      'a parameter that nothing uses',
      { step: (x, { h }, { W, U }) => ({ h: tanh(add(linear(x, W!), linear(h!, U!))) }) },
      'PROGRAM',
      /nothing uses the parameter 'b'/,
      /use it/,
    ],
    [
      'a beginning of what is no parameter',
      { beginsAs: { gain: 1 } },
      'PROGRAM',
      /'gain' begins as a number and is no parameter/,
      /W, U, b/,
    ],
    ['a gate that the step does not give', { gates: ['g'] }, 'PROGRAM', /'g' is said to be a gate/, /: h$/],
    [
      'a carousel of what is no state',
      { carousel: { state: 'c', gate: 'h' } },
      'PROGRAM',
      /'c' is said to be the carousel's state/,
      /: h$/,
    ],
    [
      'a recurrence by what is no parameter',
      { recurrence: { matrix: 'V', activation: 'tanh', carries: 'value' } },
      'PROGRAM',
      /'V' is said to be the recurrence's matrix/,
      /W, U, b/,
    ],
    [
      'a state that changes its shape',
      {
        state: () => ({ h: 5 }),
        step: (x, { h }, { W, U, b }) => ({ h: linear(add(linear(x, W!), b!, linear(h!, U!)), W!) }),
      },
      'SHAPE',
      /the parameter 'W', \[5, 2\], does not fit a term of 5 features/,
      /\[m, 5\]/,
    ],
    [
      'shapes that do not fit',
      { parameters: ({ input, hidden }) => ({ W: [input, hidden], U: [hidden, hidden], b: [hidden] }) },
      'SHAPE',
      /the parameter 'W', \[2, 5\], does not fit x of 2 features/,
      /\[m, 2\]/,
    ],
    [
      'a bias that does not fit',
      { parameters: ({ input, hidden }) => ({ W: [hidden, input], U: [hidden, hidden], b: [input] }) },
      'SHAPE',
      /the parameter 'b', \[2\], does not fit \[3, 5\]/,
      /as many features/,
    ],
    [
      'a cycle',
      {
        step: (x, { h }, { W, U, b }) => {
          const gate = (): Term => tanh(add(linear(h!, U!), a));
          const a: Term = add(linear(x, W!), b!, gate());
          const g = gate();
          return { h: g };
        },
      },
      'PROGRAM',
      /reads what it has not defined: .*'a'/,
      /before the equations that read it/,
    ],
  ])('is refused for %s', (_, change, code, message, fix) => {
    let problem: unknown;
    try {
      defineCell({ ...sound, ...change });
    } catch (error) {
      problem = error;
    }
    expect(problem).toBeInstanceOf(KronogradError);
    const error = problem as KronogradError;
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.fix).toMatch(fix);
    expect(error.where).toBeDefined();
  });
});
