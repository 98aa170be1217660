import { expect, test } from 'vitest';
import { threefry2x32 } from '../../src/program/threefry.js';

// The known-answer vectors published with Random123: key, counter, result.
test.each([
  [
    [0, 0],
    [0, 0],
    [0x6b200159, 0x99ba4efe],
  ],
  [
    [0xffffffff, 0xffffffff],
    [0xffffffff, 0xffffffff],
    [0x1cb996fc, 0xbb002be7],
  ],
  [
    [0x13198a2e, 0x03707344],
    [0x243f6a88, 0x85a308d3],
    [0xc4923a9c, 0x483df7a0],
  ],
] as const)('Threefry-2x32-20 gives the published answer for key %j', ([k0, k1], [c0, c1], answer) => {
  expect(threefry2x32(k0, k1, c0, c1)).toEqual(answer);
});
