/**
 * The environment's variables that loaders of libraries read: all that a process needs which only computes. The rest contains
 * secrets.
 */
const names = ['LD_LIBRARY_PATH', 'DYLD_LIBRARY_PATH', 'SystemRoot', 'TMPDIR', 'TEMP'];

export function libraryVariables(): NodeJS.ProcessEnv {
  return Object.fromEntries(names.flatMap((name) => (name in process.env ? [[name, process.env[name]]] : [])));
}
