/** The vectors of conjugate gradients and the programs that move them: two runs an iteration beside the products. */
import type { Tensor } from '../backend/backend.js';
import { Scope } from '../dispose.js';
import type { Builder } from '../program/builder.js';
import { float, type Value } from '../program/program.js';
import type { LinearOperator } from './linear-operator.js';
import type { VectorSpace } from './vector-space.js';

/** What an iteration tells, with A for the operator and its shift. */
export interface CgReport {
  /** p'Ap along the direction just taken. At most 0: it was not taken. */
  readonly pAp: number;
  /** r'z, with r = b - A x and z the preconditioned r. */
  readonly rz: number;
  /** r'r */
  readonly rr: number;
  /** x'(b + r) */
  readonly xbr: number;
  /** b'b */
  readonly bb: number;
}

const NAMES = ['pAp', 'rz', 'rr', 'xbr', 'bb'] as const satisfies (keyof CgReport)[];

export class CgVectors implements Disposable {
  readonly #scope = new Scope();
  /** r, z, p and q = A p. */
  readonly #r: Tensor;
  readonly #z: Tensor;
  readonly #p: Tensor;
  readonly #q: Tensor;
  readonly #shift: Tensor;
  /** As in CgReport, by NAMES. */
  readonly #report: Tensor;

  constructor(
    readonly space: VectorSpace,
    readonly size: number,
  ) {
    const own = (length: number) => this.#scope.own(space.vector(length));
    [this.#r, this.#z, this.#p, this.#q] = [own(size), own(size), own(size), own(size)];
    [this.#shift, this.#report] = [own(1), own(NAMES.length)];
  }

  /** p */
  get direction(): Tensor {
    return this.#p;
  }

  /** r = b - A x, and p = z. */
  async begin(
    A: LinearOperator,
    b: Tensor,
    x: Tensor,
    shift: number,
    preconditioner?: LinearOperator,
  ): Promise<CgReport> {
    this.#shift.write([shift]);
    this.#p.write(new Float64Array(this.size));
    // No direction yet: r'z of before is 0, p'Ap counts as positive.
    this.#report.write([1, 0, 0, 0, 0]);
    await A.apply(x, this.#q);
    const vector = float(this.size);
    await this.space.programs.run(
      `cg begin ${this.size}`,
      (on) => {
        const shifted = on.mul(on.reshape(on.input('shift', float(1)), []), on.input('x', vector));
        return { r: on.sub(on.input('b', vector), on.add(on.input('q', vector), shifted)) };
      },
      { x, b, q: this.#q, shift: this.#shift, r: this.#r },
    );
    return this.#turn(b, x, preconditioner);
  }

  /** x and r moved along p to the least phi, unless the curvature is not positive; then the next p. */
  async advance(
    A: LinearOperator,
    b: Tensor,
    x: Tensor,
    shift: number,
    preconditioner?: LinearOperator,
  ): Promise<CgReport> {
    this.#shift.write([shift]);
    await A.apply(this.#p, this.#q);
    const vector = float(this.size);
    await this.space.programs.run(
      `cg advance ${this.size}`,
      (on) => {
        const [p, q] = [on.input('p', vector), on.input('q', vector)];
        const report = on.input('report', float(NAMES.length));
        const [, rz, ...rest] = scalars(on, report) as [Value, Value, ...Value[]];
        const shifted = on.add(q, on.mul(on.reshape(on.input('shift', float(1)), []), p));
        const pAp = on.sumAll(on.mul(p, shifted));
        const isPositive = on.call('greater', pAp, on.constant(0));
        const alpha = on.call('select', isPositive, on.call('div', rz, pAp), on.constant(0));
        const moved = (to: string, by: Value, sign: 1 | -1) => {
          const step = on.mul(alpha, by);
          const from = on.input(to, vector);
          return { value: sign === 1 ? on.add(from, step) : on.sub(from, step), updates: to };
        };
        return {
          x: moved('x', p, 1),
          r: moved('r', shifted, -1),
          report: { value: packed(on, [pAp, rz, ...rest]), updates: 'report' },
        };
      },
      { x, p: this.#p, q: this.#q, r: this.#r, shift: this.#shift, report: this.#report },
    );
    return this.#turn(b, x, preconditioner);
  }

  /** z from r, and the next p = z + beta p with beta = r'z / (r'z of before). */
  async #turn(b: Tensor, x: Tensor, preconditioner?: LinearOperator): Promise<CgReport> {
    if (preconditioner) await preconditioner.apply(this.#r, this.#z);
    const vector = float(this.size);
    await this.space.programs.run(
      `cg turn ${this.size} ${preconditioner !== undefined}`,
      (on) => {
        const [r, p] = [on.input('r', vector), on.input('p', vector)];
        const [x, b] = [on.input('x', vector), on.input('b', vector)];
        const z = preconditioner ? on.input('z', vector) : r;
        const dot = (u: Value, v: Value) => on.sumAll(on.mul(u, v));
        const [pAp, before] = scalars(on, on.input('report', float(NAMES.length))) as [Value, Value];
        const rz = dot(r, z);
        const none = on.constant(0);
        const isFirst = on.call('equal', before, none);
        const beta = on.call('select', isFirst, none, on.call('div', rz, before));
        // A direction that was not taken is kept, for whoever wants to see it.
        const isTaken = on.call('greater', pAp, none);
        return {
          p: { value: on.call('select', isTaken, on.add(z, on.mul(beta, p)), p), updates: 'p' },
          report: {
            value: packed(on, [pAp, rz, dot(r, r), dot(x, on.add(b, r)), dot(b, b)]),
            updates: 'report',
          },
        };
      },
      { r: this.#r, z: this.#z, p: this.#p, x, b, report: this.#report },
    );
    const numbers = await this.#report.read();
    return Object.fromEntries(NAMES.map((name, i) => [name, numbers[i]!])) as unknown as CgReport;
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }
}

const scalars = (on: Builder, report: Value): Value[] =>
  on.split(report, 0, NAMES.length).map((each) => on.reshape(each, []));

const packed = (on: Builder, values: readonly Value[]): Value =>
  on.concat(
    values.map((value) => on.reshape(value, [1])),
    0,
  );
