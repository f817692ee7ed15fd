/** Told how far a stage has come: `step` of `total`. */
export type OnProgress = (step: number, total: number) => Promise<void>;
