/** `kronograd verify`: golden fixtures against a backend, quantity by quantity. */
import { readFile } from 'node:fs/promises';
import type { Backend } from '../backend/backend.js';
import { Float32Backend } from '../backend/cpu/float32-backend.js';
import { Float64Backend } from '../backend/cpu/float64-backend.js';
import { createDawnBackend } from '../backend/webgpu/dawn.js';
import { KronogradError } from '../errors.js';
import { requireChoice } from '../ranges.js';
import { type Fixture, parseFixture } from '../verify/fixture.js';
import { type CaseReport, type Check, verifyCase } from '../verify/verify.js';
import type { CommandRegistration } from './program.js';

const BACKENDS = ['cpu', 'cpu-float32', 'webgpu'] as const;

export const verify: CommandRegistration = (program, context) => {
  program
    .command('verify')
    .description('compare a backend with golden fixtures: exit 1 when a quantity is over its tolerance')
    .argument('<fixture.json...>', 'files in the golden-fixture format')
    .option('--backend <name>', `one of ${BACKENDS.join(', ')}; cpu is the float64 oracle`, 'cpu')
    .option('--json', 'one JSON object a line for each case')
    .action(async (files: string[], options: { backend: string; json?: boolean }) => {
      const choice = requireChoice(options.backend, '--backend', BACKENDS);
      const fixtures: Fixture[] = [];
      for (const file of files) fixtures.push(parseFixture(await read(file), file));
      using backend = await open(choice);
      const print = (line: string) => context.stdout.write(`${line}\n`);
      const reports: CaseReport[] = [];
      for (const { file, cases } of fixtures)
        for (const given of cases) {
          const report = await verifyCase(backend, given);
          reports.push(report);
          if (options.json) print(JSON.stringify({ file, backend: backend.name, ...report }));
          else for (const line of caseLines(file, report)) print(line);
        }
      const failed = reports.filter((r) => r.checks.some((c) => !c.passed)).length;
      if (!options.json) for (const line of summary(backend, reports, failed)) print(line);
      if (failed > 0) context.exitCode = 1;
    });
};

async function open(choice: (typeof BACKENDS)[number]): Promise<Backend> {
  if (choice === 'webgpu') return createDawnBackend();
  return choice === 'cpu' ? new Float64Backend() : new Float32Backend();
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new KronogradError('FIXTURE', 'the file cannot be read', {
      where: file,
      fix: 'check the path',
      cause,
    });
  }
}

const number = (x: number): string => x.toExponential(2);

/** The worst check of each group of quantities, and everything that failed. */
function caseLines(file: string, { name, checks, unsupported }: CaseReport): string[] {
  const lines = [`${file}: ${name}`];
  const groups = new Map<string, Check[]>();
  for (const check of checks) {
    const group = check.quantity.split(/[. (]/)[0]!;
    groups.set(group, [...(groups.get(group) ?? []), check]);
  }
  for (const [group, members] of groups) {
    const worst = members.reduce((a, b) => (b.error / b.tolerance > a.error / a.tolerance ? b : a));
    const verdict = members.every((c) => c.passed) ? 'ok' : 'OVER';
    lines.push(
      `  ${verdict.padEnd(5)}${group.padEnd(22)}${number(worst.error)} of ${number(worst.tolerance)}  ${members.length} compared, worst ${worst.quantity}`,
    );
    for (const check of members)
      if (!check.passed)
        lines.push(`       over: ${check.quantity} ${number(check.error)} > ${number(check.tolerance)}`);
  }
  for (const what of unsupported) lines.push(`  unsupported: ${what}`);
  return lines;
}

function summary(backend: Backend, reports: readonly CaseReport[], failed: number): string[] {
  const compared = reports.filter((r) => r.checks.length > 0);
  const partly = compared.filter((r) => r.unsupported.length > 0).length;
  const errors = compared.flatMap((r) => r.checks.map((c) => c.error));
  return [
    `${backend.description}: ${compared.length - failed} cases within tolerance, ${failed} over, ` +
      `${reports.length - compared.length} unsupported, ${partly} with unsupported parts; ` +
      `${errors.length} quantities, largest relative error ${number(Math.max(0, ...errors))}`,
  ];
}
