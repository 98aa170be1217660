/** Runs every case of suite.ts in a headless Chromium: one page, one test a case. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { type Answer, missing, openPage, type TestPage } from './page.js';
import { type describeError, suite } from './suite.js';

const here = dirname(fileURLToPath(import.meta.url));
const fixtures = join(here, '../fixtures');
const files = readdirSync(fixtures).filter((name) => name.endsWith('.json'));

/** The page and the golden fixtures. */
function serve(path: string): Answer | undefined {
  if (path === '/') return { contentType: 'text/html', body: '<!doctype html><title>tests</title>' };
  const file = files.find((name) => path === `/fixtures/${name}`);
  return file === undefined ? undefined : { body: readFileSync(join(fixtures, file)) };
}

/** What the bundle of suite.ts exports. */
interface Tests {
  readonly suite: typeof suite;
  readonly describeError: typeof describeError;
}

const skipped = missing === undefined ? '' : ` (skipped: ${missing})`;

describe.skipIf(missing !== undefined)(`in headless Chromium${skipped}`, () => {
  let site: TestPage | undefined;
  /** The case that the page is at: one that never ends fails the others at once. */
  let current: string | undefined;
  const measured: string[] = [];

  beforeAll(async () => {
    const bundle = await build({
      entryPoints: [join(here, 'suite.ts')],
      bundle: true,
      write: false,
      format: 'iife',
      globalName: 'tests',
      platform: 'browser',
      target: 'es2022',
      loader: { '.wgsl': 'text' },
      sourcemap: 'inline',
      logLevel: 'silent', // a failure throws, with the messages
    });
    site = await openPage(serve);
    await site.page.addScriptTag({ content: bundle.outputFiles[0]!.text });
  });

  afterAll(async () => {
    console.log(measured.join('\n'));
    await site?.close();
  });

  for (const name of Object.keys(suite(files))) {
    test(name, async () => {
      const { page, said } = site!;
      if (current !== undefined) throw new Error(`the page is still busy with: ${current}`);
      current = name;
      said.length = 0;
      const { failure, told } = await page.evaluate(
        async ({ name, files }) => {
          const tests = (globalThis as unknown as { tests: Tests }).tests;
          try {
            return { told: await tests.suite(files)[name]!() };
          } catch (error) {
            return { failure: tests.describeError(error) };
          }
        },
        { name, files },
      );
      current = undefined;
      if (failure !== undefined) throw new Error([failure, ...said].join('\n  the page said: '));
      if (/json|learns/.test(name)) measured.push(`${name}: ${told}`);
    });
  }
});
