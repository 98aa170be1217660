/** Which buffers of a shader are bound as vectors of four. */
import { describe, expect, it } from 'vitest';
import { type Claim, grantedQuads, type Quads } from '../../kernels/quads.js';

const quads = (wanted: number[], { together = true, owns = true } = {}): Quads => ({
  ...{ wanted: new Set(wanted), together, owns: () => owns },
});
const claim = (each: Quads | undefined, ...stored: number[]): Claim => ({
  ...{ quads: each, stored: new Set(stored) },
});
const granted = (...claims: Claim[]) => [...grantedQuads(claims)].sort();

describe('the buffers bound by fours', () => {
  it('are those that a stage reads or stores so', () => {
    expect(granted(claim(quads([0, 1]), 1), claim(quads([2])))).toEqual([0, 1, 2]);
    expect(granted(claim(undefined))).toEqual([]);
  });

  it('are none of which another stage, or the same, stores single elements', () => {
    expect(granted(claim(quads([0, 1])), claim(undefined, 1), claim(quads([2])))).toEqual([2]);
    expect(granted(claim(quads([0, 1], { owns: false }), 1))).toEqual([]);
  });

  it('are what is left to a stage that takes each by itself', () => {
    expect(granted(claim(quads([0, 1], { together: false })), claim(undefined, 1))).toEqual([0]);
  });

  it('fall with the stage that stores to them by fours only where it can do so throughout', () => {
    // The first cannot have 1, so that it stores to 0 one by one, which the second wanted, and so on.
    const chain = [claim(quads([0, 1]), 0), claim(undefined, 1), claim(quads([0, 2]), 2), claim(quads([2]))];
    expect(granted(...chain)).toEqual([]);
  });
});
