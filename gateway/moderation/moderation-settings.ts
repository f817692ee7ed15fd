import { checkedText, decimal, integer, oneOf, type Setting, text, type Values } from '../../services/kit/settings.ts';

/** Settings of the moderation service, see docs/moderation.md. */
export const moderationSettings = {
  moderationUrl: {
    name: 'FUSIONFRAMES_MODERATION_URL',
    description:
      'http or https URL of a service that accepts or refuses prompts and videos; empty: nothing is moderated; see moderation.md',
    schema: checkedText('', urlFault),
  },
  moderationToken: {
    name: 'FUSIONFRAMES_MODERATION_TOKEN',
    description: 'Bearer token sent to the moderation service; empty: none',
    schema: text('').refine((token) => /^[\x21-\x7e]*$/.test(token), 'must be printable ASCII without spaces'),
    isSecret: true,
  },
  moderationChecks: {
    name: 'FUSIONFRAMES_MODERATION_CHECKS',
    description: 'What the service checks: prompt (before a job is accepted), frames (after decoding) or both',
    schema: oneOf(['both', 'prompt', 'frames'], 'both'),
  },
  moderationFrames: {
    name: 'FUSIONFRAMES_MODERATION_FRAMES',
    description: 'Frames of each video sent to the moderation service, evenly spaced',
    schema: integer(4, 1, 64),
  },
  moderationFrameFormat: {
    name: 'FUSIONFRAMES_MODERATION_FRAME_FORMAT',
    description: 'How frames are sent: jpeg or png',
    schema: oneOf(['jpeg', 'png'], 'jpeg'),
  },
  moderationTimeoutSeconds: {
    name: 'FUSIONFRAMES_MODERATION_TIMEOUT_SECONDS',
    description: 'How long the moderation service may take to answer a call, seconds',
    schema: decimal(10, 0.1, 45),
  },
  moderationCalls: {
    name: 'FUSIONFRAMES_MODERATION_CALLS',
    description: 'Concurrent calls of one gateway to the moderation service; others wait, see moderation.md',
    schema: integer(16, 1, 1024),
  },
  moderationOnFailure: {
    name: 'FUSIONFRAMES_MODERATION_ON_FAILURE',
    description:
      'If the moderation service fails or does not answer: refuse (fail closed; videos are retried) or allow (fail open, with a warning on the job)',
    schema: oneOf(['refuse', 'allow'], 'refuse'),
  },
} satisfies Record<string, Setting<unknown>>;

export type ModerationOptions = Values<typeof moderationSettings>;

function urlFault(given: string): string | undefined {
  const url = URL.canParse(given) ? new URL(given) : undefined;
  const isUsable = url && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
  return isUsable ? undefined : 'must be an http or https URL without user and password';
}
