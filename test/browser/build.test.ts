/** What is published for browsers: dist/index.js as the build makes it, loaded as a module. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { basename, extname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import * as esbuild from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundle } from '../../scripts/build.mjs';
import { cache } from '../../scripts/swiftshader.mjs';
import { TINY_TEXT } from '../support/learning.js';
import { missing, openPage, type TestPage } from './page.js';

/** Kilobytes, minified and compressed, of what an entry loads before it asks for more. */
const BUDGETS = [
  { what: 'kronograd', entry: 'index.js', budget: 110 },
  { what: 'kronograd/curvature', entry: 'curvature.js', budget: 75 },
];

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

test.each(BUDGETS)('$what is smaller than $budget kB', async ({ what, entry, budget }) => {
  const { outputFiles, metafile } = await esbuild.build({
    entryPoints: [join(dist, entry)],
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    // What is imported when it is asked for stays out of what is loaded at once.
    splitting: true,
    outdir: join(dist, 'out'),
    metafile: true,
    logLevel: 'silent', // a failure throws, with the messages
  });
  const loaded = new Set<string>();
  const load = (path: string) => {
    if (loaded.has(path)) return;
    loaded.add(path);
    for (const each of metafile.outputs[path]!.imports) if (each.kind !== 'dynamic-import') load(each.path);
  };
  load(Object.keys(metafile.outputs).find((path) => metafile.outputs[path]!.entryPoint?.endsWith(entry))!);
  const sizes = [...loaded].map((path) => {
    const { contents } = outputFiles.find((file) => file.path.endsWith(basename(path)))!;
    return [contents.length, gzipSync(contents, { level: 9 }).length] as const;
  });
  const kilobytes = (i: 0 | 1) => sizes.reduce((sum, each) => sum + each[i], 0) / 1000;
  console.log(
    `${what}: ${kilobytes(0).toFixed(1)} kB minified, ${kilobytes(1).toFixed(1)} kB gzip of ${budget}`,
  );
  expect(kilobytes(1)).toBeLessThan(budget);
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
