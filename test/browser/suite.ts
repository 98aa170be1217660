/**
 * The cases that run inside a page. The file is bundled for the browser, and also imported by Node for the names alone:
 * touch no browser global outside a case. A case passes when its promise resolves; what it resolves to is printed.
 */
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { openTuningDatabase } from '../../src/backend/webgpu/tuning/indexed-db-store.js';
import { WebGpuBackend } from '../../src/backend/webgpu/webgpu-backend.js';
import { KronogradError } from '../../src/errors.js';
import { parseFixture } from '../../src/verify/fixture.js';
import { type CaseReport, type Check, verifyCase } from '../../src/verify/verify.js';
import { backendCases, type ScheduledBackend } from '../support/backend-cases.js';

export type Case = () => Promise<string>;

const backends: Readonly<Record<string, () => Promise<ScheduledBackend>>> = {
  WebGPU: () => WebGpuBackend.create(),
  'the CPU in float32': async () => new Float32Backend(),
};

/** One backend of a kind serves the whole page: pipelines are compiled once. */
const opened = new Map<string, Promise<ScheduledBackend>>();

function open(name: string): Promise<ScheduledBackend> {
  const backend = opened.get(name) ?? backends[name]!();
  opened.set(name, backend);
  return backend;
}

/** The cases of a page that is served these golden fixtures. */
export const suite = (fixtures: readonly string[]): Readonly<Record<string, Case>> =>
  Object.fromEntries([
    ['IndexedDB: what was tuned is there when the page comes back', rememberTuning] as const,
    ...Object.keys(backends).flatMap((backend): [string, Case][] => [
      ...fixtures.map((file): [string, Case] => [
        `${backend}: ${file}`,
        async () => goldenFixture(await open(backend), file),
      ]),
      ...backendCases.map(({ name, run }): [string, Case] => [
        `${backend}: ${name}`,
        async () => run(await open(backend)),
      ]),
    ]),
  ]);

async function rememberTuning(): Promise<string> {
  const store = await openTuningDatabase('a test');
  await store.set('a shape', 'slow');
  await store.set('a shape', 'fast');
  const again = await openTuningDatabase('a test');
  const [known, unknown] = [await again.get('a shape'), await again.get('another')];
  if (known !== 'fast' || unknown !== undefined) throw new Error(`found ${known} and ${unknown}`);
  return `found ${known}`;
}

/** The first case of a file; test/verify runs them all, with their Hessians as matrices. */
async function goldenFixture(backend: ScheduledBackend, file: string): Promise<string> {
  const { cases } = parseFixture(await (await fetch(`/fixtures/${file}`)).text(), file);
  const report = await verifyCase(backend, cases[0]!, { hessians: false });
  const failed = report.checks.filter(({ passed }) => !passed);
  if (failed.length > 0) throw new Error(`over: ${failed.map(measured).join(', ')}`);
  if (report.checks.length === 0) throw new Error(`nothing compared: ${report.unsupported.join(', ')}`);
  return summary(report);
}

function summary({ name, checks }: CaseReport): string {
  const worst = checks.reduce((a, b) => (b.error / b.tolerance > a.error / a.tolerance ? b : a));
  return `${name}, ${checks.length} quantities, worst ${measured(worst)}`;
}

const measured = ({ quantity, error, tolerance }: Check): string =>
  `${quantity} ${error.toExponential(1)} of ${tolerance.toExponential(1)}`;

/** What an error of a case has to say. */
export const describeError = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  const stack = error.stack ?? error.message;
  return error instanceof KronogradError ? `${error.describe()}\n${stack}` : stack;
};
