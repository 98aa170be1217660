import { describeRange, type Range, refused, requireInteger, requireNumber } from '../ranges.js';

/** Of `--unsafe-fast`. */
export const UNSAFE_FAST_MEANING =
  'WebGPU without its checks: faster, but what would be an error may be a crash';

/**
 * Parsers for commander's options. Each takes the option's name for its errors, and throws OPTION for what is
 * no number or out of range:
 *
 *     command.option('--length <n>', 'how many', integerOption('--length', { min: 1, max: 1000 }))
 */
type Parser = (text: string) => number;

export function integerOption(name: string, range: Range): Parser {
  return (text) => requireInteger(parseNumber(text, name, `an integer ${describeRange(range)}`), name, range);
}

export function numberOption(name: string, range: Range): Parser {
  return (text) => requireNumber(parseNumber(text, name, `a number ${describeRange(range)}`), name, range);
}

/** A number whose range is checked later, with the rest of what it belongs to. */
export function anyNumberOption(name: string): Parser {
  return (text) => parseNumber(text, name, 'a number');
}

/** The same, or several with commas between. */
export function numbersOption(name: string): (text: string) => number | number[] {
  return (text) => {
    const numbers = text
      .split(',')
      .map((each) => parseNumber(each.trim(), name, 'a number, or several with commas between'));
    return numbers.length === 1 ? numbers[0]! : numbers;
  };
}

/** Decimal only: `Number` would also take '', ' 1 ', '0x10', 'Infinity' and '1e999'. */
function parseNumber(text: string, name: string, allowed: string): number {
  const value = Number(text);
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) && Number.isFinite(value)) return value;
  throw refused(text, name, allowed);
}
