/** Kronograd's public API, for every runtime. What needs Node is in `kronograd/node`. */

// Backends.
export type { Backend, Executable, Numbers, Tensor } from './backend/backend.js';
export { Float32Backend } from './backend/cpu/float32-backend.js';
export { Float64Backend } from './backend/cpu/float64-backend.js';
export { openTuningDatabase } from './backend/webgpu/tuning/indexed-db-store.js';
export type { TuningOptions, TuningStore } from './backend/webgpu/tuning/store.js';
export type { WebGpuOptions } from './backend/webgpu/webgpu-backend.js';
export { WebGpuBackend } from './backend/webgpu/webgpu-backend.js';
// Cells, models, optimizers.
export type { Cell, CellDefinition, CellSizes, Terms } from './cells/cell.js';
export { defineCell } from './cells/cell.js';
export * as equations from './cells/equations.js';
export { cellNamed, cells } from './cells/index.js';
export { multiHeadLstm } from './cells/multi-head-lstm.js';
// Curvature.
export { gaussNewtonVector, hessianVector } from './curvature/products.js';
// Data.
export type { ForecastScore } from './data/baselines.js';
export { persistence, seasonalNaive } from './data/baselines.js';
export type { TextBatch, TextStreamOptions } from './data/batches.js';
export { TextStream } from './data/batches.js';
export type { LabelledSeries } from './data/label-windows.js';
export { LabelWindows } from './data/label-windows.js';
export type { BigramBaseline } from './data/ngram.js';
export { bigramBaseline, unigramEntropy } from './data/ngram.js';
export type { RandomState } from './data/random.js';
export { CounterRandom } from './data/random.js';
export type { SegmentLengths } from './data/segments.js';
export { SegmentStream } from './data/segments.js';
export type {
  LabelledSequence,
  SequenceBatch,
  SequenceBatches,
  SequenceSetOptions,
  SequenceShape,
  SequenceSource,
  SequenceStreamOptions,
  TargetSpec,
} from './data/sequences.js';
export { SequenceSet, SequenceStream } from './data/sequences.js';
export type { Split } from './data/split.js';
export { splitByPosition } from './data/split.js';
export { Standardiser } from './data/standardise.js';
export { addingProblem, copyMemory, parity, temporalOrder } from './data/tasks.js';
export { decodeText, Vocabulary } from './data/text.js';
export type { Series } from './data/windows.js';
export { SeriesWindows, seriesWindows, splitRows, standardiseSeries } from './data/windows.js';
// Gradient flow.
// Files, and errors.
export type { ErrorCode, ErrorDetails } from './errors.js';
export { KronogradError } from './errors.js';
export type { SafetensorsFile, Tensor as SafetensorsTensor, TensorMap } from './interop/safetensors.js';
export { readSafetensors, writeSafetensors } from './interop/safetensors.js';
export type { ContinuousRnn, DiscreteRnn } from './model/discretise.js';
export { discretise } from './model/discretise.js';
export type { FeedForwardModelConfig } from './model/feedforward-model.js';
export { FeedForwardModel } from './model/feedforward-model.js';
export type { LanguageModelConfig } from './model/language-model.js';
export { LanguageModel } from './model/language-model.js';
export type { LossName } from './model/losses.js';
export * as losses from './model/losses.js';
export type { Model, ModelHead, ModelInputs, ModelOutputs } from './model/model.js';
export type { ParameterSpec } from './model/parameters.js';
export { Parameters } from './model/parameters.js';
export type { RecurrentConfig, RecurrentInputs } from './model/recurrent.js';
export { recurrent, recurrentParameters, stateShapes } from './model/recurrent.js';
export type { SequenceModelConfig } from './model/sequence-model.js';
export { SequenceModel } from './model/sequence-model.js';
export type { SequenceTargets } from './model/sequence-targets.js';
export type { AdamOptions } from './optim/adam.js';
export { adam } from './optim/adam.js';
export type { Optimizer, UpdateInputs } from './optim/optimizer.js';
export { clipByGlobalNorm, clipByValue } from './optim/optimizer.js';
export type { RmsPropOptions } from './optim/rmsprop.js';
export { rmsProp } from './optim/rmsprop.js';
export type { SgdOptions } from './optim/sgd.js';
export { sgd } from './optim/sgd.js';
export { adjoint, gradient } from './program/adjoint.js';
export { Builder } from './program/builder.js';
export type { Perturbed } from './program/perturb.js';
export { perturb } from './program/perturb.js';
export { printProgram } from './program/print.js';
export type { DType, Node, Op, Output, Program, Shape, Type, Value } from './program/program.js';
export { float, int, sizeOf } from './program/program.js';
// Programs: built, derived, scheduled, printed.
export type { Captured, ScanResult, ScanSpec, StepInputs, StepOutputs } from './program/scan-spec.js';
export { tangent } from './program/tangent.js';
export type { Composition } from './schedule/compose.js';
export { schedule } from './schedule/index.js';
export { mixedPrecision } from './schedule/mixed-precision.js';
export { printSchedule } from './schedule/print.js';
export type { Schedule } from './schedule/schedule.js';
export type { Checkpoint, CheckpointFiles } from './train/checkpoint.js';
export { CHECKPOINT_FILES, decodeCheckpoint, encodeCheckpoint } from './train/checkpoint.js';
// Training.
export type { TrainConfig, TrainConfigInput } from './train/config.js';
export { resolveTrainConfig, TRAIN_DEFAULTS } from './train/config.js';
export type { EvaluationSizes } from './train/evaluator.js';
export { Evaluator } from './train/evaluator.js';
export type { FitEvent, FitOptions, FitResult, Measured, Validation } from './train/fit.js';
export { fit } from './train/fit.js';
export type { LearningRateConfig } from './train/learning-rate.js';
export { learningRate } from './train/learning-rate.js';
export type { ParameterGroup } from './train/parameter-groups.js';
export type { RunConfig } from './train/run-config.js';
export type { SampleOptions } from './train/sampler.js';
export { sample } from './train/sampler.js';
export type { SequenceTrainConfig, SequenceTrainConfigInput } from './train/sequence-config.js';
export { resolveSequenceConfig, SEQUENCE_DEFAULTS } from './train/sequence-config.js';
export type { SequenceSets } from './train/sequence-data.js';
export { SequenceData } from './train/sequence-data.js';
export { SequenceEvaluator } from './train/sequence-evaluator.js';
export { firstOf } from './train/sequence-parts.js';
export { evaluation, prediction, trainingStep } from './train/step-program.js';
export { prepareText, TextData } from './train/text-data.js';
export type { StepMetrics } from './train/trainer.js';
export { Trainer } from './train/trainer.js';
export type { DataEvaluator, TrainingBatch, TrainingData } from './train/training-data.js';
export type { TrainedModel } from './train/weights.js';
export { trainedModel } from './train/weights.js';
