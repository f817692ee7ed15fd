import { homedir } from 'node:os';
import { join, resolve, sep } from 'node:path';
import { packageRoot } from '../kit/package-root.ts';
import { readSettings, type Setting, text } from '../kit/settings.ts';

/** Environment variables of every command that reads or builds models. */
export const modelsSettings = {
  modelsFolder: {
    name: 'FUSIONFRAMES_MODELS_FOLDER',
    description:
      'Folder that checkpoints are pulled to (`weights/`) and model repositories are built in (`repository/`), and that keeps an ' +
      'empty database (`database/`), which temporary ones are copied from, and optimized graphs (`optimized/`, at most 1 GiB); empty: ' +
      "`triton-models/` of a checkout, or the user's data folder for an installed package",
    schema: text(''),
  },
} satisfies Record<string, Setting<unknown>>;

/** The setting for the folder of models; `value` is empty by default. */
export function chosenModelsFolder(): { name: string; value: string } {
  return { name: modelsSettings.modelsFolder.name, value: readSettings(modelsSettings).modelsFolder };
}

/** Folder of models that do not ship with the program. Absolute; it may not exist yet. */
export function modelsFolder(): string {
  const { value: chosen } = chosenModelsFolder();
  if (chosen !== '') {
    return resolve(chosen);
  }
  // Not inside node_modules, which updates replace and which may belong to another user.
  const isInstalled = packageRoot.split(sep).includes('node_modules');
  return isInstalled ? join(userDataFolder(), 'fusionframes') : join(packageRoot, 'triton-models');
}

/** Folder of graphs as ONNX Runtime optimizes them. */
export function optimizedFolder(): string {
  return join(modelsFolder(), 'optimized');
}

function userDataFolder(): string {
  const { XDG_DATA_HOME, LOCALAPPDATA } = process.env;
  switch (process.platform) {
    case 'win32':
      return LOCALAPPDATA || join(homedir(), 'AppData', 'Local');
    case 'darwin':
      return join(homedir(), 'Library', 'Application Support');
    default:
      return XDG_DATA_HOME || join(homedir(), '.local', 'share');
  }
}
