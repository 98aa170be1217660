/** `npm run bench:NAME [-- arguments of bench/NAME.ts]`: a benchmark of the CPU backend, no GPU asked for. */
import { join } from 'node:path';
import { build } from 'esbuild';
import { common, fail } from './build.mjs';
import { cache, root, run } from './swiftshader.mjs';

const [name, ...args] = process.argv.slice(2);
const outfile = join(cache, 'bench', `${name}.mjs`);
try {
  await build({ ...common, entryPoints: [join(root, 'bench', `${name}.ts`)], outfile });
  process.exitCode = await run(process.execPath, ['--enable-source-maps', outfile, ...args]);
} catch (error) {
  fail(error);
}
