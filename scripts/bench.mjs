/** `npm run bench [-- arguments of bench/main.ts]`: on the machine's GPU, or on SwiftShader where there is none. */
import { join } from 'node:path';
import { build } from 'esbuild';
import { common, fail } from './build.mjs';
import { cache, graphicsEnvironment, root, run } from './swiftshader.mjs';

const { env, note } = await graphicsEnvironment();
console.error(note);
const outfile = join(cache, 'bench', 'main.mjs');
try {
  await build({ ...common, entryPoints: [join(root, 'bench/main.ts')], outfile });
  const args = ['--enable-source-maps', outfile, ...process.argv.slice(2)];
  process.exitCode = await run(process.execPath, args, env);
} catch (error) {
  fail(error);
}
