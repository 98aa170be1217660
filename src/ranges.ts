import { KronogradError } from './errors.js';

/** Bounds of a number; `above` and `below` are exclusive, `min` and `max` inclusive. */
export interface Range {
  readonly min?: number;
  readonly above?: number;
  readonly max?: number;
  readonly below?: number;
}

/** The value, when it is an integer in the range; throws OPTION otherwise. `where` names the option. */
export function requireInteger(value: unknown, where: string, range: Range): number {
  if (Number.isSafeInteger(value) && contains(range, value as number)) return value as number;
  throw refused(value, where, `an integer ${describeRange(range)}`);
}

/** The value, when it is a finite number in the range; throws OPTION otherwise. */
export function requireNumber(value: unknown, where: string, range: Range): number {
  if (Number.isFinite(value) && contains(range, value as number)) return value as number;
  throw refused(value, where, `a number ${describeRange(range)}`);
}

/** The value, when it is one of the choices; throws OPTION otherwise. */
export function requireChoice<Choice extends string>(
  value: unknown,
  where: string,
  choices: readonly Choice[],
): Choice {
  const choice = choices.find((each) => each === value);
  if (choice !== undefined) return choice;
  throw refused(value, where, choices.length === 1 ? choices[0]! : `one of ${choices.join(', ')}`);
}

/** The value, when it is true or false; throws OPTION otherwise. */
export function requireBoolean(value: unknown, where: string): boolean {
  if (typeof value === 'boolean') return value;
  throw refused(value, where, 'true or false');
}

/** The value, when it is a text that is not empty; throws OPTION otherwise. */
export function requireText(value: unknown, where: string): string {
  if (typeof value === 'string' && value !== '') return value;
  throw refused(value, where, 'a text that is not empty');
}

/** The error for a value that an option does not take; `allowed` says what it does take. */
export function refused(value: unknown, where: string, allowed: string): KronogradError {
  const shown = typeof value === 'string' ? JSON.stringify(value) : showUnquoted(value);
  return new KronogradError('OPTION', `${where} cannot be ${shown}`, { where, fix: `give ${allowed}` });
}

/** `from 1 to 64`, `above 0 and at most 10`, `of at least 1`: to follow "a number". */
export function describeRange({ min, above, max, below }: Range): string {
  if (min !== undefined && max !== undefined) return `from ${min} to ${max}`;
  const bounds = [
    ...(min === undefined ? [] : [`of at least ${min}`]),
    ...(above === undefined ? [] : [`above ${above}`]),
    ...(max === undefined ? [] : [`at most ${max}`]),
    ...(below === undefined ? [] : [`below ${below}`]),
  ];
  return bounds.join(' and ');
}

function contains({ min, above, max, below }: Range, value: number): boolean {
  return (
    (min === undefined || value >= min) &&
    (above === undefined || value > above) &&
    (max === undefined || value <= max) &&
    (below === undefined || value < below)
  );
}

/** JSON would show NaN and Infinity, which are what a user has to see, as null. */
function showUnquoted(value: unknown): string {
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
}
