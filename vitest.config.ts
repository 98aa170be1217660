import { readFileSync } from 'node:fs';
import { defineConfig, type Plugin } from 'vitest/config';

/** `import shader from './x.wgsl'` gives the text, as the build does. */
const wgsl: Plugin = {
  name: 'wgsl',
  enforce: 'pre',
  load(id) {
    const path = id.replace(/\?.*$/, '');
    if (!path.endsWith('.wgsl')) return null;
    this.addWatchFile(path);
    return { code: `export default ${JSON.stringify(readFileSync(path, 'utf8'))};`, moduleType: 'js' };
  },
};

export default defineConfig({
  plugins: [wgsl],
  test: {
    // A process for each file: Dawn's objects live as long as their process, and a crash in native code takes one file.
    pool: 'forks',
    isolate: true,
    maxWorkers: 2,
    // A shader takes seconds to compile on a software GPU.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 10_000,
    passWithNoTests: false,
    projects: [
      {
        extends: true,
        test: { name: 'node', include: ['test/**/*.test.ts'], exclude: ['test/browser/**'] },
      },
      {
        extends: true,
        test: { name: 'browser', include: ['test/browser/**/*.test.ts'] },
      },
    ],
  },
});
