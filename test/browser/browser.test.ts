/** Runs every case of suite.ts in a headless Chromium: one page, one test a case. */
import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { type Browser, chromium as playwright } from 'playwright-core';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { chromium } from '../../scripts/swiftshader.mjs';
import { cases } from './suite.js';

const here = dirname(fileURLToPath(import.meta.url));
const fixtures = join(here, '..', 'fixtures');
// WebGPU needs a secure context. Requests to this origin are answered here and reach no network.
const origin = 'http://localhost';

const found = await chromium();
const missing = found.missing === undefined ? '' : ` (skipped: ${found.missing})`;

describe.skipIf(found.missing !== undefined)(`in headless Chromium${missing}`, () => {
  let browser: Browser | undefined;
  let page: Awaited<ReturnType<Browser['newPage']>>;
  const said: string[] = [];

  beforeAll(async () => {
    if (found.executable === undefined) return;
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
    browser = await playwright.launch({
      executablePath: found.executable,
      args: found.args,
      env: found.env as Record<string, string>,
      timeout: 60_000,
    });
    page = await browser.newPage();
    page.setDefaultTimeout(60_000);
    page.on('console', (message) => said.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => said.push(`uncaught: ${error.message}`));
    page.on('crash', () => said.push('the page crashed'));
    await page.route('**/*', async (route) => {
      const path = decodeURIComponent(new URL(route.request().url()).pathname);
      if (path === '/')
        return route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>tests</title>' });
      // Golden fixtures: /fixtures/<name>
      const file = normalize(join(here, '..', path));
      if (!file.startsWith(`${fixtures}/`)) return route.fulfill({ status: 404 });
      try {
        return await route.fulfill({ body: readFileSync(file) });
      } catch {
        return route.fulfill({ status: 404 });
      }
    });
    await page.goto(`${origin}/`);
    await page.addScriptTag({ content: bundle.outputFiles[0]!.text });
  });

  afterAll(async () => {
    await browser?.close();
  });

  for (const name of Object.keys(cases)) {
    test(name, async () => {
      said.length = 0;
      const failure = await page.evaluate(async (key) => {
        const { suite } = globalThis as unknown as { suite: { cases: typeof cases } };
        try {
          await suite.cases[key]!();
          return undefined;
        } catch (error) {
          return error instanceof Error ? (error.stack ?? error.message) : String(error);
        }
      }, name);
      if (failure !== undefined) throw new Error([failure, ...said].join('\n  the page said: '));
    });
  }
});
