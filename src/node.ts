/** Kronograd's public API in Node: all of `kronograd` and `kronograd/curvature`, and what needs files, Dawn or threads. */

export { startNodeWorker } from './backend/cpu/workers-node.js';
export type { BackendChoice, OpenedBackend } from './backend/open-node.js';
export { openBackend } from './backend/open-node.js';
export { createDawnBackend, type DawnOptions, loadDawn } from './backend/webgpu/dawn.js';
export {
  defaultTuningPath,
  TuningFile,
  type TuningFileOptions,
} from './backend/webgpu/tuning/file-store-node.js';
export * from './curvature.js';
export type { CsvOptions } from './data/csv.js';
export { csvChunks, parseCsv, readCsv } from './data/csv-node.js';
export { loadBirths, loadDigits, loadWeather } from './data/sets-node.js';
export type { Table, TableChunk } from './data/table.js';
export * from './index.js';
export type { CheckpointKind, LoadedCheckpoint, LoadOptions, SaveOptions } from './train/checkpoint-node.js';
export { loadCheckpoint, saveCheckpoint } from './train/checkpoint-node.js';
