/** `npm run bench:second-order [-- arguments of bench/second-order.ts]`: on the CPU, no GPU asked for. */
import { join } from 'node:path';
import { build } from 'esbuild';
import { common, fail } from './build.mjs';
import { cache, root, run } from './swiftshader.mjs';

const outfile = join(cache, 'bench', 'second-order.mjs');
try {
  await build({ ...common, entryPoints: [join(root, 'bench/second-order.ts')], outfile });
  process.exitCode = await run(process.execPath, ['--enable-source-maps', outfile, ...process.argv.slice(2)]);
} catch (error) {
  fail(error);
}
