/** The thread that trains: the page stays free whatever the backend does. One worker makes one run. */
import {
  bigramBaseline,
  fit,
  KronogradError,
  prepareText,
  resolveTrainConfig,
  sample,
  type TextBatch,
  Trainer,
} from '../../src/index.js';
import { chooseBackend } from './choose-backend.js';
import { Gate } from './gate.js';
import type { Failure, Report, Request } from './protocol.js';

const SAMPLE = { length: 240, temperature: 0.8 };

const gate = new Gate();
const interruption = new AbortController();

const tell = (report: Report): void => postMessage(report);

addEventListener('message', ({ data }: MessageEvent<Request>) => {
  if (data.kind === 'start') void start(data);
  else if (data.kind === 'pause') gate.close();
  else {
    if (data.kind === 'stop') interruption.abort();
    gate.open();
  }
});

async function start(request: Extract<Request, { kind: 'start' }>): Promise<void> {
  try {
    await train(request);
    tell({ kind: 'ended', stopped: false });
  } catch (error) {
    if (error instanceof KronogradError && error.code === 'ABORTED') tell({ kind: 'ended', stopped: true });
    else tell({ kind: 'failed', ...failureOf(error) });
  }
}

async function train({ text, config: input, sampleEvery }: Extract<Request, { kind: 'start' }>) {
  const config = resolveTrainConfig(input);
  const data = await prepareText(text, config);
  const chosen = await chooseBackend(config.backend);
  using backend = chosen.backend;
  using trainer = await Trainer.create(backend, config, data);
  const { vocabulary, training, validation, steps, stream } = data;
  tell({
    kind: 'ready',
    backend: backend.name,
    device: backend.description,
    note: chosen.note,
    parameters: trainer.model.parameters.size,
    vocabulary: vocabulary.size,
    characters: training.length + validation.length,
    steps,
    tokensPerStep: config.batch * config.unroll,
    dispatches: trainer.cost!.dispatches,
    bigram:
      validation.length < 2 ? null : bigramBaseline(training, validation, vocabulary.size).bitsPerCharacter,
  });

  const draw = async (): Promise<void> => {
    const { model, stepsDone: step } = trainer;
    const theta = await trainer.parameters();
    let drawn = '';
    for await (const character of sample(backend, { model, theta, vocabulary }, { ...SAMPLE, seed: step }))
      drawn += character;
    tell({ kind: 'sample', step, text: drawn });
  };
  /** The batches of the text, with a pause and a sample in between where they are due. */
  async function* batches(): AsyncGenerator<TextBatch> {
    for await (const batch of stream.batches(0)) {
      yield batch;
      if (trainer.stepsDone % sampleEvery === 0) await draw();
      await gate.pass();
    }
  }
  const reporter = new StepReporter();
  await fit(trainer, {
    batches: batches(),
    signal: interruption.signal,
    onEvent: (event) => {
      if (event.kind === 'step') reporter.add(event.step, event.loss);
      if (event.kind !== 'validation') return;
      reporter.flush();
      tell({ kind: 'validation', step: event.step, loss: event.validationLoss });
    },
  });
  reporter.flush();
  await draw();
}

/** Tells of steps a few times a second, however fast they are. */
class StepReporter {
  static readonly INTERVAL = 100;
  #losses: number[] = [];
  #step = 0;
  #last = Number.NEGATIVE_INFINITY;

  add(step: number, loss: number): void {
    this.#step = step;
    this.#losses.push(loss);
    if (performance.now() - this.#last >= StepReporter.INTERVAL) this.flush();
  }

  flush(): void {
    if (this.#losses.length > 0) tell({ kind: 'steps', step: this.#step, losses: this.#losses });
    this.#losses = [];
    this.#last = performance.now();
  }
}

function failureOf(error: unknown): Failure {
  if (error instanceof KronogradError) {
    const { code, message, where, fix } = error;
    return { code, message, where: where ?? null, fix: fix ?? null };
  }
  return {
    code: null,
    message: error instanceof Error ? error.message : String(error),
    where: null,
    fix: null,
  };
}
