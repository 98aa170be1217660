/**
 * Every error that a person can cause or must act upon: what was wrong, where, and what to do.
 * Programming mistakes inside the engine stay plain `Error`s.
 */
export type ErrorCode =
  | 'SHAPE' // shapes do not fit each other
  | 'PROGRAM' // a program or cell is ill-formed: undefined name, cycle, unused parameter
  | 'OPTION' // an unknown or out-of-range option
  | 'TEXT' // text that cannot be used: empty, binary, too short
  | 'DATA' // numeric data that cannot be used: NaN, out of range
  | 'FIXTURE' // a golden-fixture file that cannot be read
  | 'CHECKPOINT' // a checkpoint that is damaged, of another version or of another model
  | 'STORAGE' // the disk refused: full, not writable, missing
  | 'NO_ADAPTER' // no WebGPU implementation or adapter
  | 'DEVICE_LOST' // the GPU went away
  | 'KERNEL' // a shader failed to compile or a dispatch failed validation
  | 'MEMORY' // does not fit; the numbers and the largest that fits
  | 'INDEFINITE' // an operator that is not positive definite, where it has to be
  | 'DIVERGED' // the loss became NaN or infinite
  | 'ABORTED'; // stopped by the caller's AbortSignal

export interface ErrorDetails {
  /** The place: an option, a parameter, a file and line, a kernel. */
  readonly where?: string;
  /** The next move. */
  readonly fix?: string;
  readonly cause?: unknown;
}

export class KronogradError extends Error {
  override readonly name = 'KronogradError';
  readonly code: ErrorCode;
  readonly where: string | undefined;
  readonly fix: string | undefined;

  constructor(code: ErrorCode, what: string, details: ErrorDetails = {}) {
    super(what, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.where = details.where;
    this.fix = details.fix;
  }

  /** The message as the command prints it: one line each for what, where and fix. */
  describe(): string {
    const lines = [`${this.code}: ${this.message}`];
    if (this.where !== undefined) lines.push(`  where: ${this.where}`);
    if (this.fix !== undefined) lines.push(`  fix:   ${this.fix}`);
    return lines.join('\n');
  }
}
