/** Reading a device's clock. */
import type { Device } from './device.js';

export const hasTimestamps = ({ gpu }: Device): boolean => gpu.features.has('timestamp-query');

/**
 * Submits what `encode` encodes and resolves to the `count` timestamps that its passes write, in nanoseconds. Needs the
 * feature `timestamp-query`. Where a program is not trusted the clock ticks only every 0.1 ms.
 */
export async function readTimestamps(
  device: Device,
  count: number,
  encode: (encoder: GPUCommandEncoder, querySet: GPUQuerySet) => void,
): Promise<BigUint64Array> {
  const { gpu } = device;
  const bytes = 8 * count;
  const querySet = gpu.createQuerySet({ type: 'timestamp', count });
  const resolved = device.allocate(
    bytes,
    GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    'timestamps',
  );
  const staging = device.allocate(bytes, GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ, 'timestamps');
  try {
    const encoder = gpu.createCommandEncoder({ label: 'timestamps' });
    encode(encoder, querySet);
    encoder.resolveQuerySet(querySet, 0, count, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, bytes);
    gpu.queue.submit([encoder.finish()]);
    await device.until(staging.mapAsync(GPUMapMode.READ));
    return new BigUint64Array(staging.getMappedRange().slice(0));
  } finally {
    device.release(staging);
    device.release(resolved);
    querySet.destroy();
  }
}
