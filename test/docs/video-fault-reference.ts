import { videoFaults } from '../../services/pipeline/video-faults.ts';

/** The text of docs/video-faults.md. */
export function videoFaultReference(): string {
  const rows = Object.entries(videoFaults).map(
    ([reason, meaning]) => `| \`${reason.toLowerCase()}\` | \`${reason}\` | ${meaning} |`,
  );
  return `# Why videos fail
A failed video says why in the same way everywhere: over HTTP in the \`code\` of its \`error\`, in gRPC in \`error_reason\` of its
\`failure\`, in the clients in \`failure.reason\`, and \`fusionframes jobs show\` shows it. Any other failure has the name of its status
there, such as \`internal\`. Generated from the code by \`npm run docs\`.

| HTTP | gRPC, clients, command line | the video failed because |
|---|---|---|
${rows.join('\n')}
`;
}
