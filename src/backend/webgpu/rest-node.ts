/**
 * Waiting for Dawn in Node. As long as a promise of its is open, its binding asks in every turn of the event loop whether
 * there is news, which takes a processor whole; where processors play the GPU, that one is missing.
 */

/** How long each turn rests. A promise is kept up to so much later than it could be. */
const MILLISECONDS = 0.5;

const never = new Int32Array(new SharedArrayBuffer(4));
let waiting = 0;
let isResting = false;

function rest(): void {
  isResting = waiting > 0;
  if (!isResting) return;
  Atomics.wait(never, 0, 0, MILLISECONDS);
  setImmediate(rest);
}

/** The promise; until it is settled, every turn of the event loop rests a while. */
export async function waitAtRest<T>(promise: Promise<T>): Promise<T> {
  waiting++;
  if (!isResting) {
    isResting = true;
    setImmediate(rest);
  }
  try {
    return await promise;
  } finally {
    waiting--;
  }
}
