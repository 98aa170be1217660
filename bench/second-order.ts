/**
 * Hessian-free optimisation, L-BFGS and K-FAC beside Adam and SGD on long memory tasks, on the CPU backend with one thread:
 * `npm run bench:second-order [-- --seconds 20 --out FOLDER]`. Each problem runs in a process of its own, two at a time.
 */
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { Float32Backend } from '../src/backend/cpu/float32-backend.js';
import { contenders } from './second-order/contenders.js';
import { PROBLEMS, Problem } from './second-order/problems.js';
import { type Run, race } from './second-order/race.js';
import { chart, details, type Race, table } from './second-order/report.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '20' },
    out: { type: 'string', default: 'bench/results' },
    name: { type: 'string', default: 'second-order' },
    /** The number of the one problem to run, whose runs are printed as JSON: how the processes are started. */
    problem: { type: 'string' },
  },
});
const budget = Number(values.seconds);

async function runsOf(problemNumber: number): Promise<Run[]> {
  using backend = new Float32Backend();
  using problem = new Problem(backend, PROBLEMS[problemNumber]!);
  const runs: Run[] = [];
  for (const contender of contenders(problem.id)) {
    const run = await race(backend, problem, contender, budget);
    const { steps, seconds, score } = run.looks.at(-1)!;
    console.error(
      `${JSON.stringify(problem.id)} ${run.optimizer}, ${run.settings}: ${steps} steps, ${seconds.toFixed(1)} s, ${score.toPrecision(3)}`,
    );
    runs.push(run);
  }
  return runs;
}

async function runsInProcess(problemNumber: number): Promise<Run[]> {
  const args = [process.argv[1]!, '--problem', String(problemNumber), '--seconds', values.seconds];
  const child = promisify(execFile)(process.execPath, args, { maxBuffer: 2 ** 28 });
  child.child.stderr!.pipe(process.stderr);
  return JSON.parse((await child).stdout) as Run[];
}

const machine = `${cpus()[0]!.model}, ${cpus().length} processors, Node ${process.versions.node}; load average ${loadavg()[0]!.toFixed(1)} when it began`;

/** Tables of what has been run, and charts of the RNN, on which optimizers differ most. */
async function write(races: readonly Race[]): Promise<void> {
  await mkdir(values.out, { recursive: true });
  const at = (suffix: string) => join(values.out, `${values.name}${suffix}`);
  const charts = races.filter(({ id }) => id.cell === 'rnn');
  const names = charts.map(({ id }) => `-${id.task}-${id.steps}.svg`);
  for (const [i, each] of charts.entries()) await writeFile(at(names[i]!), chart(each));
  const text = [
    `# Second order beside first order, ${values.seconds} s a run`,
    `\n${machine}.\n`,
    '## The best run of each optimizer\n',
    `${table(races)}\n`,
    ...names.map((name) => `![score over time](${values.name}${name})`),
    '\n## All runs\n',
    details(races),
  ].join('\n');
  await writeFile(at('.md'), `${text}\n`);
}

async function main(): Promise<void> {
  const races: (Race | null)[] = PROBLEMS.map(() => null);
  const waiting = [...PROBLEMS.keys()];
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      races[next] = { id: PROBLEMS[next]!, runs: await runsInProcess(next) };
      await write(races.filter((each) => each !== null));
    }
  };
  await Promise.all([work(), work()]);
}

if (values.problem === undefined) await main();
else console.log(JSON.stringify(await runsOf(Number(values.problem))));
