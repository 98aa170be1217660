import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { runCommandLine } from '../../src/cli/program.js';
import { verify } from '../../src/cli/verify.js';
import { Collected } from './collect.js';

const fixtures = new URL('../fixtures/', import.meta.url).pathname;
const lstm = join(fixtures, 'torch_lstm_proj.json');
const folder = mkdtempSync(join(tmpdir(), 'kronograd-verify-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function verifyFiles(...args: string[]) {
  const stdout = new Collected();
  const stderr = new Collected();
  const code = await runCommandLine(['verify', ...args], [verify], { stdout, stderr });
  return { code, stdout: stdout.text, stderr: stderr.text };
}

/** A file with the given content. */
function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** The projected LSTM's file with one thing changed. */
function changed(
  name: string,
  change: (json: { [key: string]: unknown; cases: Record<string, unknown>[] }) => void,
): string {
  const json = JSON.parse(readFileSync(lstm, 'utf8'));
  change(json);
  return file(name, JSON.stringify(json));
}

describe('kronograd verify', () => {
  it('exits with 0 when all is within tolerance, and says how close it was', async () => {
    const { code, stdout } = await verifyFiles(lstm);
    expect(code).toBe(0);
    expect(stdout).toMatch(/2 cases within tolerance, 0 over, 0 unsupported/);
    expect(stdout).toMatch(/ok +hessian_vector/);
  });

  it('prints one JSON object a case', async () => {
    const { stdout } = await verifyFiles(lstm, '--json');
    const reports = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(reports.map((r) => r.name)).toHaveLength(2);
    for (const { checks, backend } of reports) {
      expect(backend).toBe('cpu-float64');
      expect(checks.length).toBeGreaterThan(20);
      for (const { error, tolerance, passed } of checks) expect(passed).toBe(error <= tolerance);
    }
  });

  it('exits with 1 when one number of one gradient is off by a millionth', async () => {
    const path = changed('off.json', ({ cases }) => {
      const { weight_hr_l0 } = cases[0]!.grads as Record<string, { data: number[] }>;
      weight_hr_l0!.data[3]! *= 1 + 1e-6;
    });
    const { code, stdout } = await verifyFiles(path);
    expect(code).toBe(1);
    expect(stdout).toMatch(/over: grads\.weight_hr_l0/);
    expect(stdout).toMatch(/1 cases within tolerance, 1 over/);
  });

  it('names what it does not support, and never counts it as passed', async () => {
    const path = changed('unknown.json', ({ cases }) => {
      cases[0]!.system = 'hopfield';
      cases[1]!.spectrum = {};
    });
    const { code, stdout } = await verifyFiles(path);
    expect(code).toBe(0);
    expect(stdout).toMatch(/unsupported: system 'hopfield'/);
    expect(stdout).toMatch(/unsupported: spectrum/);
    expect(stdout).toMatch(/1 cases within tolerance, 0 over, 1 unsupported, 1 with unsupported parts/);
    const other = file(
      'other.json',
      '{"format":"recurrent-fixtures","version":1,"cases":[{"name":"whiten"}]}',
    );
    expect((await verifyFiles(other)).stdout).toMatch(/unsupported: a case of no network/);
  });

  it('compares what is done before there is a network', async () => {
    const { code, stdout } = await verifyFiles(
      new URL('../data/preprocessing.json', import.meta.url).pathname,
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/ok +theta_s/);
    expect(stdout).toMatch(/ok +constant/);
    expect(stdout).toMatch(/2 cases within tolerance, 0 over, 0 unsupported.*; 8 quantities/);
  });

  it('runs in float32 as well', async () => {
    expect((await verifyFiles(lstm, '--backend', 'cpu-float32')).code).toBe(0);
  });

  it.each([
    ['a file that is not there', () => join(folder, 'nowhere.json'), /cannot be read/],
    ['no JSON', () => file('text.json', 'hello'), /no JSON/],
    ['an empty file', () => file('empty.json', ''), /no JSON/],
    ['other JSON', () => file('list.json', '[]'), /no golden-fixture file/],
    ['another version', () => changed('version.json', (json) => (json.version = 2)), /version 2/],
    ['no cases', () => changed('none.json', (json) => (json.cases = [])), /no cases/],
    [
      'a shape that does not hold its numbers',
      () =>
        changed(
          'shape.json',
          ({ cases }) =>
            ((cases[0]!.params as Record<string, { shape: number[] }>).weight_ih_l0!.shape = [4, 3]),
        ),
      /does not hold/,
    ],
    [
      'a number that is none',
      () =>
        changed(
          'nan.json',
          ({ cases }) => ((cases[0]!.data as Record<string, { data: unknown[] }>).X!.data[0] = null),
        ),
      /finite number/,
    ],
    [
      'a preprocessing without its input',
      () =>
        file(
          'inputless.json',
          '{"format":"recurrent-fixtures","version":1,"cases":[{"name":"standardise","expected":{}}]}',
        ),
      /needs shape and data/,
    ],
    [
      'an unknown head',
      () =>
        changed('head.json', ({ cases }) => ((cases[0]!.config as Record<string, unknown>).head = 'hinge')),
      /no head 'hinge'/,
    ],
  ])('exits with 2 for %s', async (_, make, message) => {
    const { code, stderr } = await verifyFiles(make());
    expect(code).toBe(2);
    expect(stderr).toMatch(/^FIXTURE: /);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/ at .*\.ts/);
  });

  it('exits with 2 for an unknown backend', async () => {
    const { code, stderr } = await verifyFiles(lstm, '--backend', 'abacus');
    expect(code).toBe(2);
    expect(stderr).toMatch(/^OPTION: /);
  });
});
