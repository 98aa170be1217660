/**
 * `npm run bench [-- S M L] [options of kronograd bench] [--peers all|none|tfjs-wasm,jax-wasm,...]`, `npm run bench --
 * growth` and `npm run bench -- predict`; see README.md.
 */
import { join } from 'node:path';
import { BENCHMARKS } from '../src/bench/catalogue.js';
import { runCommandLine } from '../src/cli/program.js';
import { benchWithPeers } from './command.js';
import { growth } from './growth.js';
import { predictions } from './predict.js';

/** This is bundled into .cache/bench; the script that does so starts it in the repository's root. */
const FOLDER = join(process.cwd(), 'bench', 'peers');

/** `S M --json` is short for `--workload S,M --json`. */
function commandLine(args: readonly string[]): string[] {
  const firstOption = args.findIndex((arg) => arg.startsWith('-'));
  const words = firstOption < 0 ? args : args.slice(0, firstOption);
  const workloads = words.filter((word) => !BENCHMARKS.includes(word));
  return [
    'bench',
    ...words.filter((word) => BENCHMARKS.includes(word)),
    ...(workloads.length > 0 ? ['--workload', workloads.join(',')] : []),
    ...args.slice(words.length),
  ];
}

const [name, ...args] = process.argv.slice(2);
if (name === 'growth') await growth(args);
else if (name === 'predict') await predictions(args);
else {
  const line = commandLine(process.argv.slice(2));
  process.exitCode = await runCommandLine(line, [benchWithPeers(FOLDER)], process);
}
