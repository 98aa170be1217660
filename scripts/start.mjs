/**
 * `npm start [-- arguments of kronograd train]`: trains from a checkout, building first where needed. The GPU is used where
 * the machine has one; SwiftShader never, because it is slower than the CPU backend.
 */
import { join } from 'node:path';
import { build, fail, stale } from './build.mjs';
import { root, run } from './swiftshader.mjs';

try {
  if (stale()) await build({ types: false });
  process.exitCode = await run(process.execPath, [
    join(root, 'dist/cli.js'),
    'train',
    ...process.argv.slice(2),
  ]);
} catch (error) {
  fail(error);
}
