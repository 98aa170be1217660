/** The example page as a person uses it. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { serveExample } from '../../scripts/serve-example.mjs';
import { missing, openAddress, type TestPage } from './page.js';

/** Small enough for a GPU in software. */
const SMALL = 'hidden=24&batch=4&unroll=12&lr=0.02&sampleEvery=1000';

/** The loss of guessing among the 80 characters of the page's text. */
const UNTRAINED = Math.log(80);

const skipped = missing === undefined ? '' : ` (skipped: ${missing})`;

describe.skipIf(missing !== undefined)(`the example page in headless Chromium${skipped}`, () => {
  let server: Awaited<ReturnType<typeof serveExample>>;
  let site: TestPage | undefined;

  beforeAll(async () => {
    server = await serveExample({ port: 0 });
  });
  afterEach(async () => {
    const said = site?.said ?? [];
    await site?.close();
    site = undefined;
    expect(said.filter((line) => /^(uncaught|error)|crashed/.test(line))).toEqual([]);
  });
  afterAll(() => server.close());

  async function open(query: string, options?: { webgpu: boolean }) {
    site = await openAddress(`${server.url}?${query}`, options);
    const { page } = site;
    const shown = async (id: string) => (await page.textContent(`#${id}`)) ?? '';
    const status = (text: string) =>
      page.waitForFunction((wanted) => document.getElementById('status')?.textContent === wanted, text, {
        polling: 50,
      });
    const step = (least: number) =>
      page.waitForFunction(
        (wanted) => Number.parseInt(document.getElementById('step')!.textContent!, 10) >= wanted,
        least,
        { polling: 50 },
      );
    await status('Ready');
    return { page, shown, status, step };
  }

  test.each(['webgpu', 'cpu'])('trains on %s: the loss falls, and it writes', async (backend) => {
    const { page, shown, status } = await open(`${SMALL}&steps=60&backend=${backend}`);
    await page.click('#start');
    await status('Done');
    expect(await shown('step')).toBe('60 / 60');
    expect(Number(await shown('loss'))).toBeLessThan(UNTRAINED - 0.5);
    expect(Number(await shown('bits'))).toBeCloseTo(Number(await shown('loss')) / Math.LN2, 2);
    expect((await shown('sample')).length).toBe(240);
    expect(await shown('backend')).toBe(backend === 'webgpu' ? 'WebGPU' : 'CPU');
  });

  test('pauses, resumes and stops', async () => {
    const { page, shown, status, step } = await open(`${SMALL}&steps=1000000&backend=cpu`);
    await page.click('#start');
    await step(1);
    await page.click('#pause');
    // Losses of steps made before may still be under way.
    await page.waitForTimeout(500);
    const paused = await shown('step');
    await page.waitForTimeout(500);
    expect(await shown('step')).toBe(paused);
    await page.click('#pause');
    await step(Number.parseInt(paused, 10) + 1);
    await page.click('#stop');
    await status('Stopped');
    expect(await page.isEnabled('#start')).toBe(true);
  });

  test('without WebGPU it trains on the CPU, and says why', async () => {
    const { page, shown, step } = await open(`${SMALL}&steps=1000000`, { webgpu: false });
    await page.click('#start');
    await step(5);
    expect(await shown('backend')).toBe('CPU');
    expect(await shown('note')).toContain('No GPU can be used: ');
  });

  test('shows typed errors, and can be started again', async () => {
    const { page, shown, status } = await open(`${SMALL}&steps=5&backend=cpu`);
    await page.fill('#text', 'abc');
    await page.click('#start');
    await status('Failed');
    expect(await shown('error-code')).toBe('TEXT');
    expect(await shown('error-fix')).not.toBe('');
    await page.fill('#text', 'to be or not to be, that is the question. '.repeat(20));
    await page.click('#start');
    await status('Done');
    expect(await page.isHidden('#error')).toBe(true);
  });
});
