import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');

/** What each room may import from, besides itself. The order is that of ARCHITECTURE.md: nobody knows who is above. */
const rooms: Record<string, string[]> = {
  shaders: [],
  'src/program': [],
  kernels: ['shaders', 'src/program'],
  'src/schedule': ['src/program', 'kernels'],
  'src/backend': ['src/program', 'src/schedule', 'kernels', 'shaders'],
  'src/cells': ['src/program'],
  'src/data': ['src/program', 'src/interop'],
  'src/interop': [],
  'src/plot': [],
  'src/model': ['src/program', 'src/cells', 'src/data'],
  'src/optim': ['src/program', 'src/backend', 'src/model', 'src/curvature'],
  'src/curvature': ['src/program', 'src/backend', 'src/model', 'src/data'],
  'src/train': [
    'src/program',
    'src/schedule',
    'src/backend',
    'src/cells',
    'src/model',
    'src/optim',
    'src/curvature',
    'src/data',
    'src/interop',
  ],
  'src/bench': [
    'src/program',
    'src/schedule',
    'src/backend',
    'src/cells',
    'src/model',
    'src/optim',
    'src/curvature',
    'src/train',
    'src/data',
    'kernels',
  ],
  'src/diagnostics': ['src/program', 'src/backend', 'src/cells', 'src/model', 'src/data', 'src/plot'],
  'src/verify': [
    'src/program',
    'src/backend',
    'src/cells',
    'src/model',
    'src/curvature',
    'src/diagnostics',
    'src/data',
    'src/interop',
  ],
};
/** Files that every room may use. */
const common = ['src/dispose.ts', 'src/errors.ts', 'src/ranges.ts'];

const roomOf = (file: string) => Object.keys(rooms).find((room) => file.startsWith(`${room}/`));

const files = Object.keys(rooms).flatMap((room) =>
  readdirSync(join(root, room), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
    .map((name) => `${room}/${name}`),
);

const importsOf = (file: string): string[] =>
  [...readFileSync(join(root, file), 'utf8').matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(
    (m) => m[1]!,
  );

describe('dependencies between rooms run one way', () => {
  it.each(files)('%s', (file) => {
    const own = roomOf(file)!;
    for (const specifier of importsOf(file)) {
      if (!specifier.startsWith('.')) continue;
      const target = relative(root, resolve(root, dirname(file), specifier)).replace(/\.js$/, '.ts');
      const room = roomOf(target);
      const allowed =
        common.includes(target) || room === own || (room !== undefined && rooms[own]!.includes(room));
      expect(allowed, `${file} imports ${target}`).toBe(true);
    }
  });

  it('keeps Node out of everything but files that say so', () => {
    const offenders = files.filter(
      (file) =>
        !/(-node|dawn)\.ts$/.test(file) &&
        importsOf(file).some((s) => s.startsWith('node:') || s === 'webgpu'),
    );
    expect(offenders).toEqual([]);
  });
});
