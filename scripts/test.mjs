/**
 * `npm test [-- arguments of vitest]`: every test, on the machine's GPU or on SwiftShader, and in a headless browser.
 * Ends with one line, `N passed, N failed[, N skipped]`, counted from vitest's own report; what
 * was skipped is named above it.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { cache, graphicsEnvironment, root, run } from './swiftshader.mjs';

const { env, note } = await graphicsEnvironment();
console.log(note);

mkdirSync(cache, { recursive: true });
const args = process.argv.slice(2);
const reporter = args.some((arg) => arg.startsWith('--reporter')) ? [] : ['--reporter=default'];
const report = join(cache, `vitest-${process.pid}.json`);
const code = await run(
  process.execPath,
  [
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    ...reporter,
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...args,
  ],
  env,
);

let result;
try {
  result = JSON.parse(readFileSync(report, 'utf8'));
} catch {
  console.error('vitest ended without a report');
} finally {
  rmSync(report, { force: true });
}

process.exitCode = code;
if (result !== undefined) {
  const passed = result.numPassedTests;
  const skipped = result.numPendingTests + result.numTodoTests;
  // A file that could not be loaded has no tests in it to count: it is one failure.
  const broken = result.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  );
  for (const file of broken) console.error(`failed as a whole: ${relative(root, file.name)}`);
  // With a name pattern, everything else is skipped: no list then.
  const filtered = args.some((arg) => /^(-t|--testNamePattern)/.test(arg));
  for (const file of filtered ? [] : result.testResults)
    for (const { fullName, status } of file.assertionResults)
      if (status !== 'passed' && status !== 'failed')
        console.log(`skipped: ${relative(root, file.name)}: ${fullName}`);
  let failed = result.numFailedTests + broken.length;
  if (code !== 0 && failed === 0) {
    console.error(`vitest ended with exit code ${code} though no test failed (see above): one failure`);
    failed = 1;
  }
  if (failed > 0) process.exitCode ||= 1;
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
} else {
  process.exitCode ||= 1;
}
