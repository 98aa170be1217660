/** A cell's file holds its equations, and nothing that derives, schedules or runs them. */
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const folder = resolve(import.meta.dirname, '../../src/cells');
/** What cells are written in; the other files are cells. */
const LANGUAGE = ['cell.ts', 'equations.ts', 'index.ts'];
const files = readdirSync(folder).filter((name) => !LANGUAGE.includes(name));
const read = (name: string) => readFileSync(resolve(folder, name), 'utf8');

describe.each(files)('%s', (name) => {
  it('knows of nothing but equations', () => {
    const imports = [...read(name).matchAll(/from '(.+)'/g)].map((match) => match[1]!);
    expect(imports).toContain('./cell.js');
    const known = ['./cell.js', './equations.js', '../errors.js'];
    expect(imports.filter((path) => !known.includes(path))).toEqual([]);
  });
});

describe('vanilla-lstm.ts', () => {
  const lines = read('vanilla-lstm.ts').split('\n');

  it('has at most 40 lines of code', () => {
    const code = lines.filter((line) => line.trim() !== '' && !/^\s*(\/\*\*|\*|\/\/)/.test(line));
    expect(code.length).toBeLessThanOrEqual(40);
  });

  it('has equations 126-136 in order, the readout gate behind the s that it sees', () => {
    const found = [...lines.join('\n').matchAll(/ \/\/ \((\d+)\)$/gm)].map((match) => Number(match[1]));
    expect(found).toEqual([126, 127, 129, 130, 131, 132, 133, 128, 134, 135, 136]);
  });
});
