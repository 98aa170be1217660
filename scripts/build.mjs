/**
 * `npm run build`: dist/index.js and dist/curvature.js (for every runtime), dist/node.js, dist/cli.js, and their types in
 * dist/types.
 *
 * One esbuild run for all entries: what they share is in shared chunks, so that a class is the same class
 * (`instanceof`) whether it came from `kronograd` or from `kronograd/node`. The graphs of dist/index.js and dist/curvature.js must
 * load in a browser as they are: a Node builtin or a package in them fails the build, with the file that imports it.
 */
import { chmodSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root, run } from './swiftshader.mjs';

const ENTRIES = {
  index: 'src/index.ts',
  curvature: 'src/curvature.ts',
  node: 'src/node.ts',
  cli: 'src/cli/main.ts',
};
/** Those that must load in a browser as they are. */
const BROWSER = ['index', 'curvature'];
const dist = join(root, 'dist');

/** esbuild options that every bundle of this project shares. */
export const common = {
  absWorkingDir: root,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'es2022',
  packages: 'external',
  loader: { '.wgsl': 'text' },
  sourcemap: true,
  // Safari has WebGPU and no Symbol.dispose: classes name a method by it.
  banner: { js: "Symbol.dispose ??= Symbol.for('Symbol.dispose');" },
  legalComments: 'none',
  logLevel: 'warning',
};

/** The time of the newest change in a file or folder; 0 where there is none. */
function newest(path) {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return 0;
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name))));
}

/** Whether dist is missing or older than a source. */
export function stale() {
  const built = statSync(join(dist, 'cli.js'), { throwIfNoEntry: false });
  if (built === undefined) return true;
  const sources = ['src', 'kernels', 'shaders', 'scripts/build.mjs', 'package.json', 'tsconfig.json'];
  return sources.some((path) => newest(join(root, path)) > built.mtimeMs);
}

/** Every import that leaves the bundle from the graph of an output: `file imports what`. */
function escapes(metafile, output) {
  const found = new Set();
  const seen = new Set();
  const visit = (name) => {
    if (seen.has(name)) return;
    seen.add(name);
    const { imports, inputs } = metafile.outputs[name];
    for (const { path, external } of imports) {
      if (!external) {
        visit(path);
        continue;
      }
      const files = Object.keys(inputs).filter((file) =>
        metafile.inputs[file].imports.some((each) => each.external && each.path === path),
      );
      found.add(`${files.join(', ')} imports '${path}'`);
    }
  };
  visit(output);
  return [...found];
}

/** The command's first line, which lets a shell run it. */
const shebang = {
  name: 'shebang',
  setup(esbuild) {
    const main = join(root, ENTRIES.cli);
    esbuild.onLoad({ filter: /main\.ts$/ }, ({ path }) => {
      if (path !== main) return undefined;
      const text = readFileSync(path, 'utf8');
      return { contents: text.startsWith('#!') ? text : `#!/usr/bin/env node\n${text}`, loader: 'ts' };
    });
  },
};

/** Dense linear algebra becomes part of what a browser loads; from its modules, so that what is unused stays out. */
const linearAlgebra = {
  name: 'linear algebra',
  setup(esbuild) {
    const modules = join(root, 'node_modules/ml-matrix/src/index.js');
    esbuild.onResolve({ filter: /^ml-matrix$/ }, () => ({ path: modules, sideEffects: false }));
    esbuild.onResolve({ filter: /^(is-any-array|ml-array-[a-z]+)$/ }, ({ path }) => ({
      path: fileURLToPath(import.meta.resolve(path)),
      sideEffects: false,
    }));
  },
};

/** Of shaders, what is in marked regions: the default that makes a file valid alone, which generators replace. */
const REGION = /(\/\/#begin (\w+)[ \t]*\n)[\s\S]*?(^[ \t]*\/\/#end \2[ \t]*\n)/gm;

/**
 * Shaders without what is for readers: the lines that are comments, and the defaults of their regions; those of the library
 * of functions are what is wanted of it.
 */
const shaders = {
  name: 'shaders',
  setup(esbuild) {
    esbuild.onLoad({ filter: /\.wgsl$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8').replace(/^[ \t]*\/\/(?!#).*\n/gm, '');
      return {
        contents: path.endsWith('functions.wgsl') ? text : text.replace(REGION, '$1$3'),
        loader: 'text',
      };
    });
  },
};

/** The entries of dist into a folder, without types. Fails where the browser's entry needs Node. */
export async function bundle(esbuild, outdir) {
  const { metafile } = await esbuild.build({
    ...common,
    entryPoints: Object.entries(ENTRIES).map(([out, path]) => ({ in: path, out })),
    outdir,
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
    metafile: true,
    plugins: [shebang, linearAlgebra, shaders],
  });
  const outputOf = (entry) =>
    Object.keys(metafile.outputs).find((name) => metafile.outputs[name].entryPoint === ENTRIES[entry]);
  const found = new Set(BROWSER.flatMap((entry) => escapes(metafile, outputOf(entry))));
  if (found.size > 0) {
    const lines = [...found].map((line) => `\n  ${line}`).join('');
    throw new Error(
      `${BROWSER.map((entry) => ENTRIES[entry]).join(' and ')} must run in a browser, but in what they import${lines}\nMove it behind src/node.ts.`,
    );
  }
}

async function declare(outdir) {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const code = await run(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', outdir]);
  if (code !== 0) throw new Error('tsc could not write the types (see above)');
}

/** Without `types` the old types stay: enough to run, and quicker. */
export async function build({ types = true } = {}) {
  for (const path of Object.values(ENTRIES))
    if (!existsSync(join(root, path))) throw new Error(`the entry ${path} is missing`);
  const esbuild = await import('esbuild');
  const start = performance.now();
  // Built beside, then exchanged: a failed build leaves the old one, and a new one holds no file of an old one.
  const draft = join(root, '.cache', `dist-${process.pid}`);
  try {
    await bundle(esbuild, draft);
    chmodSync(join(draft, 'cli.js'), 0o755);
    const old = join(dist, 'types');
    if (types) await declare(join(draft, 'types'));
    else if (existsSync(old)) renameSync(old, join(draft, 'types'));
    rmSync(dist, { recursive: true, force: true });
    renameSync(draft, dist);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  console.log(`built dist in ${((performance.now() - start) / 1000).toFixed(1)} s`);
}

/** Report a failed build and make the process fail. */
export function fail(error) {
  console.error(error.errors ? 'build failed (see above)' : `build failed: ${error.message}`); // esbuild has printed its own
  process.exitCode = 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    // npm runs this after `npm ci` (as `prepare`), with --omit=dev too: then there is nothing to build with.
    if (process.env.npm_lifecycle_event === 'prepare' && !existsSync(join(root, 'node_modules/esbuild'))) {
      console.log('dev dependencies are not installed: dist is not built');
    } else {
      await build();
    }
  } catch (error) {
    fail(error);
  }
}
