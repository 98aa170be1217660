/** A page of a headless Chromium with WebGPU in software, which gets what it asks for from a function. */
import { type Browser, type Page, chromium as playwright } from 'playwright-core';
import { chromium } from '../../scripts/swiftshader.mjs';

const found = await chromium();

/** Why there is no browser to test in; undefined where there is one. */
export const missing: string | undefined = found.missing;

/** WebGPU needs a secure context. Requests to this origin are answered by `serve` and reach no network. */
const ORIGIN = 'http://localhost';

/**
 * No zeros in workgroup memory, as in Node (src/backend/webgpu/dawn.ts): shaders compile several times faster for a GPU
 * in software.
 */
const FASTER = '--enable-dawn-features=disable_workgroup_init';

export interface Answer {
  readonly body: string | Buffer;
  readonly contentType?: string;
}

export interface TestPage {
  readonly page: Page;
  /** What the page wrote to its console, and what went wrong in it, since the last `splice`. */
  readonly said: string[];
  close(): Promise<void>;
}

/** Opens `/` of the given site. Paths without an answer are not found. */
export async function openPage(serve: (path: string) => Answer | undefined): Promise<TestPage> {
  const { browser, page, said } = await launch();
  await page.route('**/*', async (route) => {
    const answer = serve(decodeURIComponent(new URL(route.request().url()).pathname));
    return route.fulfill(answer ?? { status: 404 });
  });
  await page.goto(`${ORIGIN}/`);
  return { page, said, close: () => browser.close() };
}

/** Opens an address that somebody serves; without WebGPU, as in a browser that has none. */
export async function openAddress(url: string, { webgpu = true } = {}): Promise<TestPage> {
  const { browser, page, said } = await launch(webgpu);
  await page.goto(url);
  return { page, said, close: () => browser.close() };
}

async function launch(webgpu = true): Promise<{ browser: Browser; page: Page; said: string[] }> {
  if (found.executable === undefined) throw new Error(found.missing);
  const browser = await playwright.launch({
    executablePath: found.executable,
    args: webgpu ? [...found.args, FASTER] : found.args.filter((flag) => !flag.includes('webgpu')),
    env: found.env as Record<string, string>,
    timeout: 60_000,
  });
  // Where the system's locale is POSIX, Chromium has a language that Intl refuses.
  const page = await browser.newPage({ locale: 'en-US' });
  page.setDefaultTimeout(60_000);
  const said: string[] = [];
  page.on('console', (message) => said.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => said.push(`uncaught: ${error.message}`));
  page.on('crash', () => said.push('the page crashed'));
  return { browser, page, said };
}
