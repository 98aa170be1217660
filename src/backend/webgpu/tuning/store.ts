/** What a tuner found out, kept for the next time. */

/** Short texts by key. Neither method rejects: what cannot be kept is measured again. */
export interface TuningStore {
  get(key: string): Promise<string | undefined>;
  set(key: string, value: string): Promise<void>;
}

export interface TuningOptions {
  readonly store: TuningStore;
  /**
   * Milliseconds that may go into measuring for one program, the last measurement not counted; 2000 unless given. What
   * there was no time for is done by rule, and measured another time. With 0 nothing is measured, and only what the store
   * has is used.
   */
  readonly milliseconds?: number | undefined;
}
