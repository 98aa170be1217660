/** The page: takes a text and sizes, starts a worker that trains, and shows what it tells. */
import { decodeText, KronogradError } from '../../src/index.js';
import { LossChart } from './chart.js';
import type { Failure, Report, Request, RunDescription } from './protocol.js';
import { readAddress, settingsOf } from './settings.js';
import { Speed } from './speed.js';

const find = <Kind extends HTMLElement>(id: string): Kind => document.getElementById(id) as Kind;

const form = find<HTMLFormElement>('form');
const text = find<HTMLTextAreaElement>('text');
const startButton = find<HTMLButtonElement>('start');
const pauseButton = find<HTMLButtonElement>('pause');
const stopButton = find<HTMLButtonElement>('stop');
const chart = new LossChart(find('chart'));

type State = 'idle' | 'starting' | 'running' | 'paused';

let worker: Worker | undefined;
let run: RunDescription | undefined;
let speed = new Speed();

function enter(state: State, status: string): void {
  document.body.dataset.state = state;
  find('status').textContent = status;
  startButton.disabled = state !== 'idle';
  pauseButton.disabled = state === 'idle' || state === 'starting';
  pauseButton.textContent = state === 'paused' ? 'Resume' : 'Pause';
  stopButton.disabled = state === 'idle';
  find<HTMLFieldSetElement>('settings').disabled = state !== 'idle';
}

const ask = (request: Request): void => worker?.postMessage(request);

form.addEventListener('submit', (event) => {
  event.preventDefault();
  showFailure(null);
  showNote(null);
  chart.start(null);
  for (const id of ['step', 'loss', 'bits', 'speed', 'left']) find(id).textContent = '–';
  find('sample').textContent = '';
  find('sample-step').textContent = '';
  worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' });
  worker.addEventListener('message', ({ data }: MessageEvent<Report>) => show(data));
  worker.addEventListener('error', ({ message }) =>
    show({
      kind: 'failed',
      code: null,
      message: message || 'the worker could not start',
      where: null,
      fix: null,
    }),
  );
  enter('starting', 'Compiling…');
  ask({ kind: 'start', text: text.value, ...settingsOf(form) });
});

pauseButton.addEventListener('click', () => {
  const paused = document.body.dataset.state === 'paused';
  ask({ kind: paused ? 'resume' : 'pause' });
  speed = new Speed();
  enter(paused ? 'running' : 'paused', paused ? 'Training' : 'Paused');
});

stopButton.addEventListener('click', () => {
  // Before the first step there is nothing that could be interrupted.
  if (document.body.dataset.state === 'starting') end('Stopped');
  else ask({ kind: 'stop' });
});

find<HTMLInputElement>('file').addEventListener('change', async ({ target }) => {
  const file = (target as HTMLInputElement).files?.[0];
  if (file === undefined) return;
  try {
    text.value = decodeText(new Uint8Array(await file.arrayBuffer()), file.name);
    showFailure(null);
    showLength();
  } catch (error) {
    if (!(error instanceof KronogradError)) throw error;
    const { code, message, where = null, fix = null } = error;
    showFailure({ code, message, where, fix });
  }
});

text.addEventListener('input', showLength);

function show(report: Report): void {
  switch (report.kind) {
    case 'ready':
      run = report;
      speed = new Speed();
      chart.start(report.bigram);
      describe(report);
      enter('running', 'Training');
      return;
    case 'steps': {
      const first = report.step - report.losses.length + 1;
      for (const [k, loss] of report.losses.entries()) chart.addLoss(first + k, loss / Math.LN2);
      showProgress(report.step, report.losses.at(-1)!);
      return;
    }
    case 'validation':
      chart.addValidation(report.step, report.loss / Math.LN2);
      return;
    case 'sample':
      find('sample').textContent = report.text;
      find('sample-step').textContent = `after step ${report.step}`;
      return;
    case 'ended':
      end(report.stopped ? 'Stopped' : 'Done');
      return;
    case 'failed':
      end('Failed');
      showFailure(report);
  }
}

function end(status: string): void {
  worker?.terminate();
  worker = undefined;
  enter('idle', status);
}

function describe(ready: RunDescription): void {
  const count = (value: number) => value.toLocaleString('en');
  find('backend').textContent = ready.backend === 'webgpu' ? 'WebGPU' : 'CPU';
  find('device').textContent = ready.device;
  find('model').textContent =
    `${count(ready.parameters)} parameters, ${count(ready.characters)} characters of ${ready.vocabulary} kinds, ` +
    `${ready.dispatches} ${ready.backend === 'webgpu' ? 'dispatches' : 'calls'} a step`;
  showNote(ready.note);
}

function showProgress(step: number, loss: number): void {
  const { steps, tokensPerStep } = run!;
  const perSecond = speed.at(step);
  find('step').textContent = `${step} / ${steps}`;
  find('loss').textContent = loss.toFixed(3);
  find('bits').textContent = (loss / Math.LN2).toFixed(3);
  if (perSecond === null) return;
  find('speed').textContent = Math.round(perSecond * tokensPerStep).toLocaleString('en');
  const seconds = Math.round((steps - step) / perSecond);
  find('left').textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

function showLength(): void {
  find('length').textContent = `${[...text.value].length.toLocaleString('en')} characters`;
}

function showNote(note: string | null): void {
  find('note').hidden = note === null;
  find('note').textContent = note;
}

function showFailure(failure: Failure | null): void {
  find('error').hidden = failure === null;
  if (failure === null) return;
  find('error-code').textContent = failure.code ?? 'Internal error';
  find('error-message').textContent = failure.message;
  find('error-where').textContent = failure.where ?? 'this page';
  find('error-fix').textContent = failure.fix ?? 'Look into the browser’s console, and report what it says.';
}

readAddress(form);
enter('starting', 'Loading the text…');
text.value = await (await fetch('/text')).text();
showLength();
enter('idle', 'Ready');
