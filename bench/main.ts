/**
 * `npm run bench [-- [names of workloads] [options of kronograd bench] [--peers wasm|all|none]]`: the command, with
 * peers beside it where they are installed.
 */
import { benchWith } from '../src/cli/bench.js';
import { runCommandLine } from '../src/cli/program.js';

process.exitCode = await runCommandLine(['bench', ...process.argv.slice(2)], [benchWith()], process);
