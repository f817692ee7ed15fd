/** Called with a stage's progress: `step` of `total`. */
export type OnProgress = (step: number, total: number) => Promise<void>;
