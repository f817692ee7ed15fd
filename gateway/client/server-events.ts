/** One server-sent event. */
export interface ServerEvent {
  id: string;
  data: string;
}

/** Reads `text/event-stream`. An event that a broken connection leaves unfinished is dropped. */
export async function* readServerEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder();
  let text = '';
  let id = '';
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true });
    const blocks = text.split(/\r?\n\r?\n/);
    text = blocks.pop()!;
    for (const block of blocks) {
      const fields = block.split(/\r?\n/).map(parseLine);
      id = fields.findLast(({ name }) => name === 'id')?.value ?? id;
      const data = fields.filter(({ name }) => name === 'data').map(({ value }) => value);
      if (data.length > 0) {
        yield { id, data: data.join('\n') };
      }
    }
  }
}

function parseLine(line: string): { name: string; value: string } {
  const [, name = '', value = ''] = /^([^:]*)(?:: ?(.*))?$/.exec(line) ?? [];
  return { name, value };
}
