/** Generates shaders/pointwise.wgsl. */
import source from '../shaders/pointwise.wgsl';
import { collapseAxes, product, unravel } from './affine.js';
import type { Bindings } from './bindings.js';
import { type Body, type Share, tiling } from './body.js';
import type { KernelLimits } from './kernel.js';
import { indicesOf, mapIndices, scalarStatements } from './scalars.js';
import type { PointwiseStage } from './stage.js';
import { fillTemplate } from './template.js';
import { powerOfTwoFrom } from './workgroups.js';

export function pointwiseBody(
  stage: PointwiseStage,
  bindings: Bindings,
  limits: KernelLimits,
  share?: Share,
): Body {
  const tile = share?.tile ?? null;
  const firstAxis = tile?.axis ?? 0;
  const indices = [...indicesOf(stage.scalars), ...stage.stores.map(({ ref }) => ref)];
  const { shape, narrow } = collapseAxes(stage.shape, indices, firstAxis);
  const [places, axes] = unravel('element', shape, 'i');
  const scalars = scalarStatements(
    mapIndices(stage.scalars, narrow),
    stage.stores.map(({ value }) => value),
    axes,
    bindings,
  );
  const stores = stage.stores.map(({ ref, value }) => bindings.store(narrow(ref), axes, `s${value}`));

  const elements = product(shape);
  const threads =
    share?.threads ?? Math.min(256, limits.maxComputeInvocationsPerWorkgroup, powerOfTwoFrom(elements));
  const { ofTile, tiles } = tiling(elements, stage.shape[firstAxis] ?? 1, tile);
  const groupsOfTile = Math.ceil(ofTile / threads);
  return {
    threads,
    groups: tiles * groupsOfTile,
    inFrame: (frame) =>
      fillTemplate(source, {
        ...frame,
        constants: [`const ELEMENTS = ${elements};`, `const THREADS = ${threads};`],
        place: tile === null ? anywhere : inTile(ofTile, groupsOfTile),
        element: [...places, ...scalars, ...stores],
      }),
  };
}

const anywhere = [
  'let element = workgroup * THREADS + thread;',
  'if (element >= ELEMENTS) {',
  '  return;',
  '}',
];

const inTile = (elements: number, groups: number) => [
  `let place = workgroup % ${groups} * THREADS + thread;`,
  `let element = workgroup / ${groups} * ${elements} + place;`,
  `if (place >= ${elements} || element >= ELEMENTS) {`,
  '  return;',
  '}',
];
