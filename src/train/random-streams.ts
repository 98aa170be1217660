/** The streams of a run's seed: one for each purpose, so that drawing more for one changes nothing for another. */
export const RANDOM_STREAMS = { initialisation: 0, dropout: 1, sampling: 2 } as const;
