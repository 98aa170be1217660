/** The pointwise functions in WGSL, of one element and of four. */
import source from '../shaders/functions.wgsl';
import type { FunctionName } from '../src/program/functions.js';
import { regionsOf } from './template.js';

const ofElements = regionsOf(source);
const names = [...ofElements.keys()].join('|');

/** WGSL about one element as it is about four: where a number would not widen by itself, it is a call of its type. */
const ofQuads = (text: string): string =>
  text.replace(/\b(?:f32|u32|bool)\b/g, 'vec4<$&>').replace(new RegExp(`\\b(?:${names})\\(`, 'g'), 'quad_$&');

/** The definitions of shaders/functions.wgsl by name, and of each a version for quads. */
const library = new Map([
  ...ofElements,
  ...[...ofElements].map(([name, text]) => [`quad_${name}`, ofQuads(text)] as const),
]);

/** How a function is written: an expression, or a call of one of the library. */
const spelling: Record<FunctionName, (x: readonly string[]) => string> = {
  add: ([x, y]) => `${x} + ${y}`,
  sub: ([x, y]) => `${x} - ${y}`,
  mul: ([x, y]) => `${x} * ${y}`,
  div: ([x, y]) => `${x} / ${y}`,
  neg: ([x]) => `-${x}`,
  exp: ([x]) => `exponential(${x})`,
  log: ([x]) => `logarithm(${x})`,
  sqrt: ([x]) => `sqrt(${x})`,
  tanh: ([x]) => `hyperbolic_tangent(${x})`,
  sigmoid: ([x]) => `sigmoid(${x})`,
  relu: ([x]) => `relu(${x})`,
  softplus: ([x]) => `softplus(${x})`,
  max: ([x, y]) => `maximum(${x}, ${y})`,
  min: ([x, y]) => `minimum(${x}, ${y})`,
  greater: ([x, y]) => `select(f32(0), f32(1), ${x} > ${y})`,
  equal: ([x, y]) => `select(f32(0), f32(1), ${x} == ${y})`,
  select: ([c, x, y]) => `select(${y}, ${x}, ${c} != f32(0))`,
  half: ([x]) => `nearest_half(${x})`,
};

/** A function of named values: all f32, or all vec4<f32>. */
export function spell(fn: FunctionName, values: readonly string[], quads: boolean): string {
  const text = spelling[fn](values);
  return quads ? ofQuads(text) : text;
}

/** The definitions that a text calls, directly or through each other. */
export function calledFunctions(lines: readonly string[]): string[] {
  const called = new Set<string>();
  const visit = (text: string) => {
    for (const [name, definition] of library)
      if (!called.has(name) && new RegExp(`\\b${name}\\(`).test(text)) {
        called.add(name);
        visit(definition);
      }
  };
  visit(lines.join('\n'));
  return [...library].filter(([name]) => called.has(name)).map(([, definition]) => definition.trimEnd());
}
