/** Grids longer than one axis may be. */

/**
 * A number of workgroups spread over x, y and z.
 * @param limit the most per axis.
 */
export function foldWorkgroups(count: number, limit: number): [x: number, y: number, z: number] {
  const x = Math.min(count, limit);
  const y = Math.min(Math.ceil(count / x), limit);
  return [x, y, Math.ceil(count / (x * y))];
}

/** The number of a workgroup in a folded grid, from `group: vec3<u32>`, as an i32. May lie beyond the count. */
export function foldedWorkgroup([x, y, z]: readonly [number, number, number]): string {
  const terms = ['group.x'];
  if (y > 1) terms.push(`${x}u * group.y`);
  if (z > 1) terms.push(`${x * y}u * group.z`);
  return `i32(${terms.join(' + ')})`;
}

/** The smallest power of 2 that is at least n. */
export const powerOfTwoFrom = (n: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, n)));
