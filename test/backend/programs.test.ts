import { describe, expect, it } from 'vitest';
import type { Backend } from '../../src/backend/backend.js';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { Programs } from '../../src/backend/programs.js';
import { KronogradError } from '../../src/errors.js';
import type { Builder } from '../../src/program/builder.js';
import { float } from '../../src/program/program.js';

const double = (on: Builder) => {
  const x = on.input('x', float(3));
  return { y: on.add(x, x) };
};

describe('programs', () => {
  it('builds and compiles once for each key', async () => {
    const backend = new Float64Backend();
    using programs = new Programs(backend);
    let built = 0;
    const build = (on: Builder) => {
      built++;
      return double(on);
    };
    using x = backend.tensor(float(3));
    using y = backend.tensor(float(3));
    x.write([1, 2, 3]);
    await programs.run('double', build, { x, y });
    await programs.run('double', build, { x, y });
    expect([...(await y.read())]).toEqual([2, 4, 6]);
    expect(built).toBe(1);
  });

  it('tries again after a failure', async () => {
    const backend = new Float64Backend();
    let full = true;
    const crowded = {
      compile: async (program) => {
        if (full) throw new KronogradError('MEMORY', 'no room');
        return backend.compile(program);
      },
    } as Partial<Backend> as Backend;
    using programs = new Programs(crowded);
    await expect(programs.executable('double', double)).rejects.toMatchObject({ code: 'MEMORY' });
    full = false;
    expect((await programs.executable('double', double)).arenaBytes).toBeGreaterThanOrEqual(0);
  });
});
