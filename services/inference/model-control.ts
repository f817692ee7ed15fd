/** How a server's models are brought up to date; see `InferenceServerOptions.modelControl`. */
export const modelControls = ['none', 'poll', 'explicit'] as const;
export type ModelControl = (typeof modelControls)[number];
