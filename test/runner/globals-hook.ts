import type { ResolveHook } from 'node:module';

/** `@jest/globals` refuses to load outside of Jest's own module loader. */
export const resolve: ResolveHook = (specifier, context, nextResolve) =>
  specifier === '@jest/globals'
    ? { url: new URL('globals.js', import.meta.url).href, shortCircuit: true }
    : nextResolve(specifier, context);
