import { z } from 'zod';
import { isFinished, type Video } from '../../gateway/client/video.ts';
import { maxPageSize, type VideoClient } from '../../gateway/client/video-client.ts';
import { time, wholeNumber } from '../../services/kit/values.ts';
import { namedFiles } from '../../services/pipeline/job-files.ts';
import { jobStateNames } from '../../services/pipeline/job-states.ts';
import { videoFacts } from '../video-facts.ts';
import { downloadInline, downloadToFolder, inlineLimit } from './download.ts';
import { followVideo } from './follow-video.ts';
import { jsonResult, type McpTool, mcpTool } from './mcp-tool.ts';
import { byArgumentName, factsField, newVideoFields, toNewVideo } from './new-video-fields.ts';

const maxWaitSeconds = 3600;
/** Many clients give up on a call after a minute. */
const defaultWaitSeconds = 50;

const id = z.string().describe('id of the video');

/** @param folder where files may be read and written; absent: nowhere */
export function videoTools(client: VideoClient, folder: string | undefined): McpTool[] {
  return [
    mcpTool({
      name: 'create_video',
      title: 'Create a video',
      description:
        'Queue a video of a prompt, which may begin with a picture or interpolate between given keyframes. Returns its id at once; get_video with `wait` follows it.',
      fields: newVideoFields,
      annotations: { destructiveHint: false },
      async run(given, { signal }) {
        try {
          return jsonResult(facts(await client.create(await toNewVideo(given, folder), { signal })));
        } catch (error) {
          throw byArgumentName(error);
        }
      },
    }),
    mcpTool({
      name: 'get_video',
      title: 'Get a video',
      description:
        'Return state, progress, warnings and files of a video, at once or, with `wait`, when it has ended. `ended` is false if the timeout came first: call again.',
      fields: z.strictObject({
        id,
        wait: z.boolean().default(false).describe('wait until it has ended, with progress notifications if requested'),
        timeout_seconds: wholeNumber(1, maxWaitSeconds)
          .given.default(defaultWaitSeconds)
          .describe(`how long to wait at most; 1 to ${maxWaitSeconds}`),
      }),
      annotations: { readOnlyHint: true },
      async run({ id, wait, timeout_seconds }, context) {
        const { signal } = context;
        return jsonResult(
          facts(await (wait ? followVideo(client, id, timeout_seconds, context) : client.get(id, { signal }))),
        );
      },
    }),
    mcpTool({
      name: 'list_videos',
      title: 'List videos',
      description: 'List the videos of the API key, newest first.',
      fields: z.strictObject({
        limit: wholeNumber(1, maxPageSize).given.default(20).describe(`how many at most; 1 to ${maxPageSize}`),
        state: z.enum(jobStateNames).optional().describe('only videos in this state'),
        model: z.string().optional().describe('only videos of this model'),
        metadata: factsField.optional().describe('only videos with these facts'),
        created_after: time().given.optional().describe('only videos created at or after this time'),
        created_before: time().given.optional().describe('only videos created before this time'),
      }),
      annotations: { readOnlyHint: true },
      async run({ limit, state, model, metadata, created_after, created_before }, { signal }) {
        const filter = {
          ...(state && { state }),
          ...(model !== undefined && { model }),
          ...(metadata && { metadata }),
          ...(created_after && { createdAfter: created_after }),
          ...(created_before && { createdBefore: created_before }),
        };
        const videos: object[] = [];
        for await (const video of client.list({ pageSize: limit, ...filter, signal })) {
          videos.push(facts(video));
          if (videos.length === limit) {
            break;
          }
        }
        return jsonResult({ videos });
      },
    }),
    downloadTool(client, folder),
    mcpTool({
      name: 'cancel_video',
      title: 'Cancel a video',
      description: 'Stop a video that is queued or running.',
      fields: z.strictObject({ id }),
      annotations: { destructiveHint: true, idempotentHint: true },
      run: async ({ id }, { signal }) => jsonResult(facts(await client.cancel(id, { signal }))),
    }),
    mcpTool({
      name: 'list_models',
      title: 'List models',
      description: 'List the models that make videos. The first is the default.',
      fields: z.strictObject({}),
      annotations: { readOnlyHint: true },
      run: async (_, { signal }) => jsonResult({ models: await client.models({ signal }) }),
    }),
  ];
}

function downloadTool(client: VideoClient, folder: string | undefined): McpTool {
  const file = z.enum(namedFiles).default('video').describe('which of its files');
  const common = { name: 'download_video', title: 'Download a video' };
  if (folder === undefined) {
    return mcpTool({
      ...common,
      description: `Return a file of a video, of at most ${inlineLimit}.`,
      fields: z.strictObject({ id, file }),
      annotations: { readOnlyHint: true },
      run: ({ id, file }, { signal }) => downloadInline(client, id, file, signal),
    });
  }
  const path = z.string().describe(`new file, relative to ${folder}`);
  return mcpTool({
    ...common,
    description: `Save a file of a video as \`path\`. Without \`path\`, return it, if it has at most ${inlineLimit}.`,
    fields: z.strictObject({ id, file, path: path.optional() }),
    annotations: { destructiveHint: false },
    run: async ({ id, file, path }, { signal }) =>
      path === undefined
        ? downloadInline(client, id, file, signal)
        : jsonResult(await downloadToFolder(client, id, file, folder, path, signal)),
  });
}

function facts(video: Video): object {
  return { ...videoFacts(video), ended: isFinished(video) };
}
