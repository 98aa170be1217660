/** For checkpoint-node.test.ts: saves checkpoint after checkpoint into the folder given, until it is killed. */
import { loadCheckpoint, saveCheckpoint } from '../../src/train/checkpoint-node.js';
import { sampleCheckpoint } from './sample-checkpoint.js';

const folder = process.argv[2]!;
const start = process.argv[3] === 'resume' ? (await loadCheckpoint(folder)).checkpoint.position.step : 0;
for (let step = start + 1; ; step += 1) {
  await saveCheckpoint(folder, sampleCheckpoint(step));
  process.stdout.write(`${step}\n`);
}
