/** The sizes of a run as the page's form holds them: set by the address, such as `?hidden=64&steps=300&backend=cpu`. */
import type { TrainConfigInput } from '../../src/index.js';

const NUMBERS = ['hidden', 'layers', 'batch', 'unroll', 'steps', 'lr'] as const;

const field = (form: HTMLFormElement, name: string) =>
  form.elements.namedItem(name) as HTMLInputElement | HTMLSelectElement;

/** Fills the form from the address. */
export function readAddress(form: HTMLFormElement): void {
  const given = new URLSearchParams(location.search);
  for (const name of [...NUMBERS, 'backend', 'sampleEvery']) {
    const value = given.get(name);
    if (value !== null) field(form, name).value = value;
  }
}

/** What the form says; the engine checks it, and names what it cannot use. */
export function settingsOf(form: HTMLFormElement): { config: TrainConfigInput; sampleEvery: number } {
  const sizes = NUMBERS.map((name) => [name, field(form, name).value] as const);
  const numbers = sizes.filter(([, text]) => text !== '').map(([name, text]) => [name, Number(text)]);
  const config: TrainConfigInput = {
    ...Object.fromEntries(numbers),
    backend: field(form, 'backend').value,
    evaluateEvery: 100,
    saveEvery: 100,
  };
  return { config, sampleEvery: Math.max(1, Math.floor(Number(field(form, 'sampleEvery').value)) || 100) };
}
