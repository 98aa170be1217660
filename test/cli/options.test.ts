import { expect, test } from 'vitest';
import { anyNumberOption, integerOption, numberOption } from '../../src/cli/options.js';

test.each([
  ['7', 7],
  ['+7', 7],
  ['1e2', 100],
  ['100', 100],
])('an integer option takes %s', (text, value) => {
  expect(integerOption('--length', { min: 1, max: 100 })(text)).toBe(value);
});

test.each(['0', '-1', '101', '1.5', 'NaN', 'Infinity', '', ' 1', '0x10', '1_0', 'ten', '1e999'])(
  'an integer option from 1 to 100 refuses "%s"',
  (text) => {
    const number = Number(text);
    const shown = /^[-\d.]+$/.test(text) ? number : JSON.stringify(text);
    expect(() => integerOption('--length', { min: 1, max: 100 })(text)).toThrow(
      expect.objectContaining({
        code: 'OPTION',
        message: `--length cannot be ${shown}`,
        where: '--length',
        fix: 'give an integer from 1 to 100',
      }),
    );
  },
);

test('a number option has exclusive bounds too', () => {
  const temperature = numberOption('--temperature', { above: 0, max: 100 });
  expect(temperature('.5')).toBe(0.5);
  expect(temperature('1e-3')).toBe(0.001);
  expect(() => temperature('0')).toThrow(
    expect.objectContaining({ code: 'OPTION', fix: 'give a number above 0 and at most 100' }),
  );
});

test('a number of any size', () => {
  expect(anyNumberOption('--lr')('-1e9')).toBe(-1e9);
  expect(() => anyNumberOption('--lr')('abc')).toThrow(
    expect.objectContaining({ message: '--lr cannot be "abc"', fix: 'give a number' }),
  );
});
