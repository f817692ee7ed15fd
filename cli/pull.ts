import { Command } from 'commander';
import { plainText } from '../services/kit/plain-text.ts';
import { loadModelSet } from '../triton-models/packaging/model-set.ts';
import { keptToken, readHubSettings } from '../triton-models/pull/hub-settings.ts';
import { pullModels } from '../triton-models/pull/pull-models.ts';
import { interruptSignal, reportInterruption } from './interrupt.ts';
import { transferDisplay } from './transfer-display.ts';

export function pullCommand(): Command {
  return new Command('pull')
    .description(
      'Download the published files of a preset or of networks that judge videos; existing files are verified, partial downloads resumed.',
    )
    .argument('<preset>', "name of a preset or of networks that judge videos, or the path of a preset's .json file")
    .option('--from <source>', 'hub, or a folder with the files', 'hub')
    .option(
      '--revision <name>',
      "branch, tag or commit of the preset's own repository, or owner/repository=name; repeatable (default: the commits that an earlier pull recorded, or the newest)",
      (name: string, earlier: string[] = []) => [...earlier, name],
    )
    .option('--link', 'from a folder: hard-link files instead of copying them; rewriting them changes what is served')
    .option('--ignore-extra', "leave out tensors that the networks do not have, such as an optimizer's")
    .option('-o, --output <folder>', 'where the files go (default: the folder of its weights)')
    .action(pull);
}

interface PullArguments {
  from: string;
  revision?: string[];
  output?: string;
  link?: boolean;
  ignoreExtra?: boolean;
}

async function pull(
  presetName: string,
  { from, revision = [], output, link = false, ignoreExtra = false }: PullArguments,
): Promise<void> {
  const hub = readHubSettings();
  const signal = interruptSignal();
  try {
    const { folder, notes } = await pullModels(loadModelSet(presetName), {
      from,
      revisions: revision,
      ...(output !== undefined && { output }),
      link,
      ignoreExtra,
      hub: {
        endpoint: hub.endpoint,
        token: hub.token || keptToken(hub),
        proxies: hub,
        timeoutMilliseconds: 60_000,
        firstWaitMilliseconds: 1000,
      },
      progress: transferDisplay(process.stderr),
      signal,
    });
    for (const note of notes) {
      process.stderr.write(`${plainText(note)}\n`);
    }
    process.stdout.write(`${folder}\n`);
  } catch (error) {
    reportInterruption(error, signal, '\ninterrupted: partial downloads are kept; run the same command to resume\n');
  }
}
