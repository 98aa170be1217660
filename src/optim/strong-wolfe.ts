/**
 * A line search for the strong Wolfe conditions (Nocedal and Wright, Numerical Optimization, 2006, algorithms 3.5 and
 * 3.6): a distance at which the loss has fallen enough for its slope, and the slope has become flat enough.
 */

/** The loss and its slope at a distance along the line. */
export interface LinePoint {
  readonly distance: number;
  readonly loss: number;
  readonly slope: number;
}

export interface StrongWolfeOptions {
  /** c1: f(a) <= f(0) + c1 a f'(0). */
  readonly decrease: number;
  /** c2: |f'(a)| <= c2 |f'(0)|. */
  readonly flatness: number;
  /** Of the loss and its slope together. */
  readonly maxEvaluations: number;
}

/** Distances are at most doubled, and an interval is cut no closer to its ends than a tenth of it. */
const GROWTH = 2;
const MARGIN = 0.1;
/** An interval that has shrunk less than to this share is halved next (Moré and Thuente 1994, section 4). */
const SHRINK = 2 / 3;

/**
 * The point found; where evaluations run out, the one with the least loss that has fallen enough, and null when none has.
 * @param start At distance 0, with a negative slope.
 * @param first The first distance to try.
 */
export async function strongWolfe(
  evaluate: (distance: number) => Promise<LinePoint>,
  start: LinePoint,
  first: number,
  { decrease, flatness, maxEvaluations }: StrongWolfeOptions,
): Promise<LinePoint | null> {
  const hasFallen = ({ distance, loss }: LinePoint) => loss <= start.loss + decrease * distance * start.slope;
  const isFlat = ({ slope }: LinePoint) => Math.abs(slope) <= -flatness * start.slope;
  let best: LinePoint | null = null;
  /** The end of the interval with the lower loss, and the other one, once there is one. */
  let low = start;
  let high: LinePoint | null = null;
  let distance = first;
  let width = Number.POSITIVE_INFINITY;
  for (let i = 0; i < maxEvaluations; i++) {
    const here = await evaluate(distance);
    if (hasFallen(here) && (best === null || here.loss < best.loss)) best = here;
    if (!hasFallen(here) || (low !== start && here.loss >= low.loss) || !Number.isFinite(here.slope))
      high = here;
    else if (isFlat(here)) return here;
    else {
      // The minimum is behind the point where the slope there points back.
      const pointsBack = high === null ? here.slope >= 0 : here.slope * (high.distance - low.distance) >= 0;
      if (pointsBack) high = low;
      low = here;
    }
    if (high === null) distance *= GROWTH;
    else {
      const before = width;
      width = Math.abs(high.distance - low.distance);
      distance = width > SHRINK * before ? (low.distance + high.distance) / 2 : between(low, high);
    }
  }
  return best;
}

/** Where the cubic through two points and their slopes is least (Nocedal and Wright, eq. 3.59), inside their interval. */
function between(low: LinePoint, high: LinePoint): number {
  const width = high.distance - low.distance;
  const d1 = low.slope + high.slope - (3 * (low.loss - high.loss)) / (low.distance - high.distance);
  const d2 = Math.sign(width) * Math.sqrt(d1 * d1 - low.slope * high.slope);
  const share = 1 - (high.slope + d2 - d1) / (high.slope - low.slope + 2 * d2);
  // No cubic (a loss that is not finite), or a minimum outside: the middle.
  const kept = Number.isFinite(share) ? Math.min(Math.max(share, MARGIN), 1 - MARGIN) : 1 / 2;
  return low.distance + kept * width;
}
