/** The canonical RNN of equations in continuous time. The golden values are among the fixtures. */
import { describe, expect, test } from 'vitest';
import { discretise } from '../../src/model/discretise.js';

const zero = { B: [0, 0, 0, 0], C: [0, 0], phi: [0, 0] };

describe('discretise', () => {
  test('inverts a matrix whose first pivot is zero', () => {
    // I - dT A = [[0, 2], [4, 1]]
    const { W_s, W_r, W_x, theta_s } = discretise({
      ...{ A: [1, -2, -4, 0], B: [1, 0, 0, 1], C: [2, 4], phi: [0, 8], dT: 1 },
    });
    expect([...W_s]).toEqual([-0.125, 0.25, 0.5, 0]);
    expect(W_r).toEqual(W_s);
    expect([...W_x]).toEqual([0.75, 1]);
    expect([...theta_s]).toEqual([2, 0]);
  });

  test('without dynamics nothing decays', () => {
    const { W_s } = discretise({ A: [0, 0, 0, 0], ...zero, dT: 0.1 });
    expect([...W_s]).toEqual([1, 0, 0, 1]);
  });

  test.each([
    ['1 / dT as an eigenvalue of A', { A: [2, 0, 0, -1], ...zero, dT: 0.5 }, 'DATA', /I - dT A is singular/],
    ['rows that depend', { A: [0.9, -0.3, -0.3, 0.1], ...zero, dT: 1 }, 'DATA', /singular/],
    ['another size of A', { A: [1], ...zero, dT: 1 }, 'SHAPE', /1 numbers do not fit a state of 2/],
    ['part of a row of C', { A: [0, 0, 0, 0], ...zero, C: [1], dT: 1 }, 'SHAPE', /do not fit/],
    ['no state', { A: [], B: [], C: [], phi: [], dT: 1 }, 'SHAPE', /do not fit/],
    ['NaN', { A: [0, 0, 0, 0], ...zero, phi: [0, Number.NaN], dT: 1 }, 'DATA', /NaN is not a finite/],
    ['no step', { A: [0, 0, 0, 0], ...zero, dT: 0 }, 'OPTION', /dT cannot be 0/],
  ])('refuses %s', (_, given, code, message) => {
    expect(() => discretise(given)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
  });
});
