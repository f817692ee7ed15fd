import type { Command } from 'commander';
import type { NewVideo } from '../gateway/client/video-client.ts';
import { webhookEvents } from '../gateway/jobs/job.ts';
import { invalidField } from '../services/kit/errors.ts';
import { readSettings } from '../services/kit/settings.ts';
import { clientSettings } from './client-settings.ts';

/** A webhook's options from the command line. Its secret is a setting: other users can see the arguments of a process. */
export interface WebhookFlags {
  webhook?: string;
  webhookEvents?: string;
}

type Webhook = NonNullable<NewVideo['webhook']>;

const secretName = clientSettings.webhookSecret.name;

export function addWebhookFlags(command: Command): Command {
  return command
    .option('--webhook <url>', `call this URL when the video ends, signed with ${secretName} (default: none)`)
    .option(
      '--webhook-events <list>',
      `call it for these: ${webhookEvents.join(', ')}, with commas in between (default: completed,failed)`,
    );
}

/** The webhook that the options name. Throws INVALID_ARGUMENT naming the option, or the setting without a secret. */
export function readWebhook({ webhook: url, webhookEvents: events }: WebhookFlags): Webhook | undefined {
  if (url === undefined) {
    if (events !== undefined) {
      throw invalidField('--webhook-events', events, 'absent without --webhook');
    }
    return undefined;
  }
  const { webhookSecret: secret } = readSettings(clientSettings);
  if (secret === '') {
    throw invalidField(secretName, undefined, 'the secret that signs the calls of --webhook');
  }
  return { url, secret, ...(events !== undefined && { events: parseEvents(events) }) };
}

function parseEvents(text: string): NonNullable<Webhook['events']> {
  const names = text.split(',').map((name) => name.trim());
  const events = webhookEvents.filter((event) => names.includes(event));
  if (!names.every((name) => (webhookEvents as readonly string[]).includes(name))) {
    throw invalidField('--webhook-events', text, `one or more of ${webhookEvents.join(', ')}`);
  }
  return events;
}
