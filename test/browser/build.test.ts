/** What is published for browsers: dist/index.js as the build makes it, loaded as a module. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { extname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import * as esbuild from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundle } from '../../scripts/build.mjs';
import { cache } from '../../scripts/swiftshader.mjs';
import { TINY_TEXT } from '../support/learning.js';
import { missing, openPage, type TestPage } from './page.js';

/** Kilobytes, minified and compressed, of all that dist/index.js loads. */
const BUDGET = 87;

const PAGE = `<!doctype html>
<title>the build</title>
<script type="module">
  import * as kronograd from './index.js';
  globalThis.kronograd = kronograd;
</script>`;

let dist: string;
beforeAll(async () => {
  mkdirSync(cache, { recursive: true });
  dist = mkdtempSync(join(cache, 'browser-build-'));
  await bundle(esbuild, dist);
});
afterAll(() => rmSync(dist, { recursive: true, force: true }));

test(`is smaller than ${BUDGET} kB`, async () => {
  const { outputFiles } = await esbuild.build({
    entryPoints: [join(dist, 'index.js')],
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    logLevel: 'silent', // a failure throws, with the messages
  });
  const [plain, compressed] = [outputFiles[0]!.contents, gzipSync(outputFiles[0]!.contents, { level: 9 })];
  const kilobytes = (bytes: Uint8Array) => bytes.length / 1000;
  console.log(
    `dist/index.js: ${kilobytes(plain).toFixed(1)} kB minified, ${kilobytes(compressed).toFixed(1)} kB gzip of ${BUDGET}`,
  );
  expect(kilobytes(compressed)).toBeLessThan(BUDGET);
});

const skipped = missing === undefined ? '' : ` (skipped: ${missing})`;

describe.skipIf(missing !== undefined)(`in headless Chromium${skipped}`, () => {
  let site: TestPage | undefined;
  beforeAll(async () => {
    site = await openPage((path) => {
      if (path === '/') return { contentType: 'text/html', body: PAGE };
      if (extname(path) !== '.js') return undefined;
      return { contentType: 'text/javascript', body: readFileSync(join(dist, path)) };
    });
  });
  afterAll(() => site?.close());

  // Module scripts have run when a page has loaded.
  test.each(['webgpu', 'cpu'] as const)('trains on %s', async (choice) => {
    const losses = await site!.page.evaluate(
      async ({ choice, text }) => {
        const { kronograd } = globalThis as unknown as { kronograd: typeof import('../../src/index.js') };
        const { Float32Backend, WebGpuBackend, Trainer, fit, prepareText, resolveTrainConfig } = kronograd;
        const config = resolveTrainConfig({
          ...{
            hidden: 24,
            batch: 4,
            unroll: 12,
            steps: 40,
            lr: 0.03,
            schedule: 'constant',
            validationFraction: 0,
          },
        });
        const data = await prepareText(text, config);
        const backend = choice === 'webgpu' ? await WebGpuBackend.create() : new Float32Backend();
        const trainer = await Trainer.create(backend, config, data);
        const losses: number[] = [];
        await fit(trainer, { onEvent: (event) => event.kind === 'step' && losses.push(event.loss) });
        trainer[Symbol.dispose]();
        backend[Symbol.dispose]();
        return losses;
      },
      { choice, text: TINY_TEXT },
    );
    expect(losses).toHaveLength(40);
    expect(losses.at(-1)).toBeLessThan(0.85 * losses[0]!);
  });
});
