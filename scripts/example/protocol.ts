/** What the page and the worker that trains say to each other. */
import type { ErrorCode, TrainConfigInput } from '../../src/index.js';

export type Request =
  | {
      readonly kind: 'start';
      readonly text: string;
      readonly config: TrainConfigInput;
      /** Draw a sample after every so many steps. */
      readonly sampleEvery: number;
    }
  | { readonly kind: 'pause' }
  | { readonly kind: 'resume' }
  | { readonly kind: 'stop' };

export type Report =
  | ({ readonly kind: 'ready' } & RunDescription)
  /** Losses in nats, one a step; the last belongs to `step`. */
  | { readonly kind: 'steps'; readonly step: number; readonly losses: readonly number[] }
  | { readonly kind: 'validation'; readonly step: number; readonly loss: number }
  | { readonly kind: 'sample'; readonly step: number; readonly text: string }
  | { readonly kind: 'ended'; readonly stopped: boolean }
  | ({ readonly kind: 'failed' } & Failure);

export interface RunDescription {
  readonly backend: string;
  readonly device: string;
  /** Why it is not the GPU, where it is not. */
  readonly note: string | null;
  readonly parameters: number;
  readonly vocabulary: number;
  readonly characters: number;
  readonly steps: number;
  readonly tokensPerStep: number;
  readonly dispatches: number;
  /** Bits per character of a bigram model: what there is to beat. Null without a validation text. */
  readonly bigram: number | null;
}

/** A typed error, or a fault of the program: then without a code. */
export interface Failure {
  readonly code: ErrorCode | null;
  readonly message: string;
  readonly where: string | null;
  readonly fix: string | null;
}
