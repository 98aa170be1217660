import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Backend } from '../../src/backend/backend.js';
import { parseFixture } from '../../src/verify/fixture.js';
import { verifyCase } from '../../src/verify/verify.js';
import { backends } from '../support/backends.js';

const folder = new URL('../fixtures/', import.meta.url);
const files = [...readdirSync(folder).filter((f) => f.endsWith('.json')), '../data/preprocessing.json'];

/** Backends that take long: a GPU in software, and stages run by loops. */
const SLOW = new Set(['WebGPU', 'the stages in float64']);

/** A case with Hessians of each system. */
const withHessians = new Map(
  files
    .flatMap((file) => parseFixture(readFileSync(new URL(file, folder), 'utf8'), file).cases)
    .filter(({ rest }) => rest.hessian !== undefined)
    .reverse()
    .map(({ system, name }) => [system, name]),
);

describe.each(Object.entries(backends))('fixtures on %s', (where, open) => {
  let backend: Backend;
  let worst = { quantity: 'nothing', error: 0, tolerance: 1 };
  beforeAll(async () => {
    backend = await open();
  });
  afterAll(() => {
    backend[Symbol.dispose]();
    console.log(
      `${where}: ${worst.quantity} uses most of its tolerance: ${worst.error} of ${worst.tolerance}`,
    );
  });

  for (const file of files) {
    const { cases } = parseFixture(readFileSync(new URL(file, folder), 'utf8'), file);
    it.each(cases.map((c) => [c.name, c] as const))(`${file}: %s`, async (name, given) => {
      // Hessians as matrices are many kernels: where compiling or running those is slow, one case of each system.
      const hessians = !SLOW.has(where) || withHessians.get(given.system) === name;
      const { checks, unsupported } = await verifyCase(backend, given, { hessians });
      expect(unsupported).toEqual([]);
      expect(checks.length).toBeGreaterThan(0);
      for (const check of checks)
        if (check.error / check.tolerance > worst.error / worst.tolerance)
          worst = { ...check, quantity: `${name} ${check.quantity}` };
      expect(checks.filter((c) => !c.passed)).toEqual([]);
    });
  }
});
