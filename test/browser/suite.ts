/**
 * The cases that run inside a page. The file is bundled for the browser, and also imported by Node for the names alone:
 * touch no browser global outside a case. A case passes when its promise resolves; what it resolves to is printed.
 */
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
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

export const cases: Readonly<Record<string, Case>> = Object.fromEntries(
  Object.keys(backends).flatMap((backend): [string, Case][] => [
    [`${backend}: golden fixtures`, async () => goldenFixtures(await open(backend))],
    ...backendCases.map(({ name, run }): [string, Case] => [
      `${backend}: ${name}`,
      async () => run(await open(backend)),
    ]),
  ]),
);

/** One case of each file. */
async function goldenFixtures(backend: ScheduledBackend): Promise<string> {
  const files = (await (await fetch('/fixtures/')).json()) as string[];
  const lines: string[] = [];
  for (const file of files) {
    const { cases } = parseFixture(await (await fetch(`/fixtures/${file}`)).text(), file);
    const report = await firstComputed(backend, cases);
    lines.push(`${file}: ${report === null ? 'unsupported' : summary(report)}`);
    const failed = report?.checks.filter(({ passed }) => !passed) ?? [];
    if (failed.length > 0) throw new Error(`${lines.at(-1)}; over: ${failed.map(measured).join(', ')}`);
  }
  if (!lines.some((line) => !line.endsWith('unsupported'))) throw new Error('no fixture was compared');
  return lines.join('\n  ');
}

/** The report of the first case that the engine computes. */
async function firstComputed(
  backend: ScheduledBackend,
  cases: readonly Parameters<typeof verifyCase>[1][],
): Promise<CaseReport | null> {
  for (const given of cases) {
    const report = await verifyCase(backend, given);
    if (report.checks.length > 0) return report;
  }
  return null;
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
