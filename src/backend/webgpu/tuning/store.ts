/** What a tuner found out, kept for the next time. */

/** Short texts by key. Neither method rejects: what cannot be kept is measured again. */
export interface TuningStore {
  get(key: string): Promise<string | undefined>;
  set(key: string, value: string): Promise<void>;
}

/**
 * Kernels that were chosen otherwise may round otherwise: a sum over a row is divided among the invocations of a
 * workgroup, and a compiler may join a multiplication and an addition in one shader and not in the next. What is
 * remembered is not measured again, so with the same store the same program gives the same bits. Checkpoints say nothing
 * of it: a run that is continued with `milliseconds: 0` on the store that it began with goes on as if it had not stopped.
 */
export interface TuningOptions {
  readonly store: TuningStore;
  /**
   * Milliseconds that may go into measuring for one program, the last measurement not counted; 2000 unless given. What
   * there was no time for is done by rule, and measured another time. With 0 nothing is measured, and only what the store
   * has is used.
   */
  readonly milliseconds?: number | undefined;
}
