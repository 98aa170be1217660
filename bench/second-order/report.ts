/** The races as a table and as charts. */
import { lineChart } from '../../src/plot/line-chart.js';
import { nameOf, type ProblemId, TASKS } from './problems.js';
import type { Run } from './race.js';

export interface Race {
  readonly id: ProblemId;
  readonly runs: readonly Run[];
}

const lastOf = ({ looks }: Run) => looks.at(-1)!;
const leastScore = ({ looks }: Run) => Math.min(...looks.map(({ score }) => score));

/** Of each optimizer the run that solved soonest, or else came nearest. */
export function bestRuns(runs: readonly Run[]): Run[] {
  const better = (a: Run, b: Run) => {
    if (a.isSolved !== b.isSolved) return a.isSolved;
    return a.isSolved ? lastOf(a).seconds <= lastOf(b).seconds : leastScore(a) <= leastScore(b);
  };
  const names = [...new Set(runs.map(({ optimizer }) => optimizer))];
  return names.map((name) =>
    runs.filter(({ optimizer }) => optimizer === name).reduce((a, b) => (better(a, b) ? a : b)),
  );
}

function cell(run: Run, measure: string): string {
  const { steps, seconds } = lastOf(run);
  if (run.isSolved) return `**${seconds.toFixed(1)} s**, ${steps} steps`;
  return `no: ${measure} ${leastScore(run).toPrecision(2)} after ${steps} steps`;
}

/** A row for each problem, a column for each optimizer. */
export function table(races: readonly Race[]): string {
  const names = bestRuns(races[0]!.runs).map(({ optimizer }) => optimizer);
  const rows = races.map(({ id, runs }) => [
    nameOf(id),
    ...bestRuns(runs).map((run) => cell(run, TASKS[id.task].measure)),
  ]);
  return [['problem', ...names], names.map(() => '---').concat('---'), ...rows]
    .map((row) => `| ${row.join(' | ')} |`)
    .join('\n');
}

/** Every run, with its settings. */
export function details(races: readonly Race[]): string {
  const rows = races.flatMap(({ id, runs }) =>
    runs.map((run) => [nameOf(id), run.optimizer, run.settings, cell(run, TASKS[id.task].measure)]),
  );
  return [['problem', 'optimizer', 'settings', 'solved'], ['---', '---', '---', '---'], ...rows]
    .map((row) => `| ${row.join(' | ')} |`)
    .join('\n');
}

/** The score over time of each optimizer's best run. */
export const chart = ({ id, runs }: Race): string =>
  lineChart({
    title: nameOf(id),
    x: { label: 'seconds of one processor' },
    y: { label: `${TASKS[id.task].measure} on test sequences`, scale: 'log' },
    series: bestRuns(runs).map(({ optimizer, settings, looks }) => ({
      name: `${optimizer}, ${settings}`,
      points: looks.map(({ seconds, score }) => [seconds, score] as const),
    })),
  });
