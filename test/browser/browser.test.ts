/** Runs every case of suite.ts in a headless Chromium: one page, one test a case. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { type Answer, missing, openPage, type TestPage } from './page.js';
import { cases, type describeError } from './suite.js';

const here = dirname(fileURLToPath(import.meta.url));
const fixtures = join(here, '../fixtures');
const files = readdirSync(fixtures).filter((name) => name.endsWith('.json'));

/** The page, the list of golden fixtures, and the fixtures. */
function serve(path: string): Answer | undefined {
  if (path === '/') return { contentType: 'text/html', body: '<!doctype html><title>tests</title>' };
  if (path === '/fixtures/') return { body: JSON.stringify(files) };
  const file = files.find((name) => path === `/fixtures/${name}`);
  return file === undefined ? undefined : { body: readFileSync(join(fixtures, file)) };
}

const skipped = missing === undefined ? '' : ` (skipped: ${missing})`;

describe.skipIf(missing !== undefined)(`in headless Chromium${skipped}`, () => {
  let site: TestPage | undefined;

  beforeAll(async () => {
    const bundle = await build({
      entryPoints: [join(here, 'suite.ts')],
      bundle: true,
      write: false,
      format: 'iife',
      globalName: 'suite',
      platform: 'browser',
      target: 'es2022',
      loader: { '.wgsl': 'text' },
      sourcemap: 'inline',
      logLevel: 'silent', // a failure throws, with the messages
    });
    site = await openPage(serve);
    await site.page.addScriptTag({ content: bundle.outputFiles[0]!.text });
  });

  afterAll(() => site?.close());

  for (const name of Object.keys(cases)) {
    test(name, async () => {
      const { page, said } = site!;
      said.length = 0;
      const { failure, told } = await page.evaluate(async (key) => {
        const { suite } = globalThis as unknown as {
          suite: { cases: typeof cases; describeError: typeof describeError };
        };
        try {
          return { told: await suite.cases[key]!() };
        } catch (error) {
          return { failure: suite.describeError(error) };
        }
      }, name);
      if (failure !== undefined) throw new Error([failure, ...said].join('\n  the page said: '));
      if (/fixtures|learns/.test(name)) console.log(`Chromium, ${name}:\n  ${told}`);
    });
  }
});
