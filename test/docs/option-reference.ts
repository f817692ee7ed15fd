import { requestOptions } from '../../gateway/api/http/option-fields.ts';
import { fieldName } from '../../services/kit/field-name.ts';
import { defaultText, listOptions, type Option } from '../../services/pipeline/options.ts';
import { videoOptions } from '../../services/pipeline/video-options.ts';

const overHttp = new Set(listOptions(requestOptions).map(({ option }) => option.name));

/** The text of docs/video-options.md. */
export function optionReference(): string {
  const rows = listOptions(videoOptions).map(
    ({ option, path }) =>
      `| ${nameText(option)} | \`${fieldName(path)}\` | ${flagText(option)} | ${sentence(option)} | ${option.kind.mustBe} | ${fallbackText(option)} |`,
  );
  return `# Options of a video
A video depends on these options, on the preset and on its weights, and on nothing else. Options that a request leaves out take the
default; a job reports the values it uses. Generated from the code by \`npm run docs\`.

| HTTP | gRPC, in \`VideoSettings\` | command line | meaning | values | default |
|---|---|---|---|---|---|
${rows.join('\n')}

On the command line, \`--output\` determines the format, \`--frames\` keeps the frames, and \`--size\` sets width and height. HTTP also
accepts \`size\`, \`num_frames\`, \`fps\` and \`seconds\`, as clients of comparable servers send them; see the [HTTP
API](http-api.md#requests). \`/v1/presets\` lists the limits and defaults of the preset that is served.
`;
}

function nameText({ name, synonyms = [] }: Option): string {
  return overHttp.has(name) ? [name, ...synonyms].map((each) => `\`${each}\``).join(', ') : '–';
}

function flagText({ flag, name }: Option): string {
  return name === 'prompt' ? 'argument' : flag ? `\`${flag}\`` : '–';
}

function sentence({ help }: Option): string {
  return `${help[0]!.toUpperCase()}${help.slice(1)}`;
}

function fallbackText(option: Option): string {
  return option.name === 'prompt' ? 'required' : defaultText(option);
}
