/** Every example of the README runs as it stands. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it, vi } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const examples = [...readFileSync(resolve(root, 'README.md'), 'utf8').matchAll(/```ts\n([\s\S]*?)```/g)].map(
  (m) => m[1]!,
);

/** What each example prints, in order. */
const prints: ((lines: unknown[][]) => void)[] = [
  (lines) => {
    const [first, , last] = lines[lines.length - 1]! as [number, string, number];
    expect(last).toBeLessThan(first);
  },
  ([, plain, scaling, mixed]) => {
    expect(scaling).toEqual([2 ** 16, 0]);
    expect([plain![0], mixed![0]]).toEqual(['float32', 'mixed']);
    expect(Math.abs((mixed![1] as number) / (plain![1] as number) - 1)).toBeLessThan(0.05);
  },
  (lines) => expect(lines[0]![0]).toMatch(/for t = 0\.\.19/),
  (lines) => expect(Array.from(lines[0]![0] as Float64Array)).toEqual([70, 88]),
  (lines) => {
    const [largest, errors, smallest, trace] = lines[0]! as [number[], number[], number[], number];
    expect(largest).toEqual([...largest].sort((a, b) => b - a));
    expect(errors[0]).toBeLessThan(1e-3 * largest[0]!);
    expect(smallest[0]).toBeLessThan(largest[2]!);
    expect(trace).toBeGreaterThan(smallest[0]!);
  },
];

describe('the examples of the README', () => {
  it('are all known here', () => expect(examples.length).toBe(prints.length));

  it.each(prints.map((check, i) => [i, check] as const))('example %i', async (i, check) => {
    const folder = resolve(root, '.cache/readme');
    mkdirSync(folder, { recursive: true });
    const file = resolve(folder, `example-${i}.ts`);
    writeFileSync(
      file,
      examples[i]!.replaceAll("from 'kronograd'", `from '${resolve(root, 'src/index.ts')}'`).replaceAll(
        "from 'kronograd/curvature'",
        `from '${resolve(root, 'src/curvature.ts')}'`,
      ),
    );
    const log = vi.spyOn(console, 'log').mockImplementation(() => {});
    try {
      await import(file);
      check(log.mock.calls);
    } finally {
      log.mockRestore();
    }
  });
});
