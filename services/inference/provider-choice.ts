/** What models run on; `auto`: WebGPU where it works. */
export const providerChoices = ['cpu', 'webgpu', 'auto'] as const;
export type ProviderChoice = (typeof providerChoices)[number];
