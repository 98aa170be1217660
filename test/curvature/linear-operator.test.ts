import { afterAll, describe, expect, test } from 'vitest';
import type { Tensor } from '../../src/backend/backend.js';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { Identity, LinearOperator } from '../../src/curvature/linear-operator.js';
import { VectorSpace } from '../../src/curvature/vector-space.js';
import { float } from '../../src/program/program.js';

const space = new VectorSpace(new Float64Backend());
afterAll(() => space[Symbol.dispose]());

/** An operator with its matrix written out. */
class Dense extends LinearOperator {
  constructor(readonly rows: readonly (readonly number[])[]) {
    super(space, [rows.length, rows[0]!.length]);
  }

  protected async multiply(x: Tensor, y: Tensor): Promise<void> {
    const [m, n] = this.shape;
    const k = x.type.shape.length === 1 ? 1 : x.type.shape[0]!;
    using matrix = this.space.vector(m, n);
    matrix.write(this.rows.flat());
    await this.space.programs.run(
      `dense ${m} ${n} [${x.type.shape}]`,
      (on) => {
        const a = on.input('a', float(m, n));
        const rows = on.reshape(on.input('x', x.type), [k, n]);
        return { y: on.reshape(on.gemm(rows, a, { transB: true }), y.type.shape) };
      },
      { a: matrix, x, y },
    );
  }

  get adjoint(): LinearOperator {
    return new Dense(this.rows[0]!.map((_, j) => this.rows.map((row) => row[j]!)));
  }

  [Symbol.dispose](): void {}
}

const a = new Dense([
  [1, 2, 3],
  [4, 5, 6],
]);
const b = new Dense([
  [1, -1, 0],
  [0, 2, 1],
]);

describe('operators made of operators', () => {
  test('apply to one vector', async () => {
    expect([...(await a.matvec([1, 0, -1]))]).toEqual([-2, -2]);
    expect([...(await a.scale(-3).matvec([1, 0, -1]))]).toEqual([6, 6]);
    expect([...(await a.add(b).matvec([1, 1, 1]))]).toEqual([6, 18]);
    expect([...(await a.compose(b.adjoint).matvec([1, 1]))]).toEqual([1 * 1 + 2 * 1 + 3 * 1, 4 + 5 + 6]);
    expect([...(await new Identity(space, 2).matvec([5, 7]))]).toEqual([5, 7]);
  });

  test('apply to many vectors in one pass', async () => {
    const products = await a
      .compose(b.adjoint)
      .scale(2)
      .matmat([
        [1, 0],
        [0, 1],
      ]);
    expect(products.map((v) => [...v])).toEqual([
      [2 * (1 - 2), 2 * (4 - 5)],
      [2 * (4 + 3), 2 * (10 + 6)],
    ]);
  });

  test("have the adjoint of the whole: u.(A v) = (A' u).v", async () => {
    const whole = a.compose(b.adjoint).scale(0.5).add(new Identity(space, 2));
    const [u, v] = [
      [3, -1],
      [2, 5],
    ];
    const dot = (x: ArrayLike<number>, y: readonly number[]) => y.reduce((sum, e, i) => sum + e * x[i]!, 0);
    expect(dot(await whole.matvec(v), u)).toBeCloseTo(dot(await whole.adjoint.matvec(u), v), 12);
  });
});

describe('what does not fit is refused', () => {
  test.each([
    ['a vector of another length', () => a.matvec([1, 2])],
    ['vectors of different lengths', () => a.matmat([[1, 2, 3], [1]])],
    ['no vectors', () => a.matmat([])],
    ['a sum of different shapes', async () => a.add(b.adjoint)],
    ['a composition that does not meet', async () => a.compose(b)],
  ])('%s', async (_, attempt) => {
    await expect(attempt()).rejects.toMatchObject({ code: 'SHAPE' });
  });
});

test('a combination forgets what is to be overwritten, even NaN', async () => {
  using x = space.vector(3);
  using y = space.vector(3);
  x.write([1, 2, 3]);
  y.write([Number.NaN, 1, Number.POSITIVE_INFINITY]);
  await space.combine(2, x, 0, y);
  expect([...(await y.read())]).toEqual([2, 4, 6]);
  await space.combine(1, x, -1, y);
  expect([...(await y.read())]).toEqual([-1, -2, -3]);
  expect(await space.dot(y, y)).toBe(14);
  expect(await space.dot(x, y)).toBe(-14);
});
