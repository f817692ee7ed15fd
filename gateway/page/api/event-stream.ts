/** One event of `text/event-stream`. */
export interface ServerEvent {
  id: string;
  type: string;
  data: string;
}

/**
 * Reads a stream of server-sent events (WHATWG HTML, "Server-sent events"). The browser's own `EventSource` cannot send
 * an Authorization header. `onBytes` is called for whatever arrives, comments included.
 */
export async function* readEvents(
  body: ReadableStream<Uint8Array>,
  onBytes: () => void = () => {},
): AsyncGenerator<ServerEvent> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let rest = '';
  let event: ServerEvent = { id: '', type: '', data: '' };
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        return;
      }
      onBytes();
      // A chunk may end between the two characters of one line end.
      const text = rest + value;
      const complete = text.endsWith('\r') ? text.slice(0, -1) : text;
      const lines = complete.split(/\r\n|\n|\r/);
      rest = lines.pop()! + text.slice(complete.length);
      for (const line of lines) {
        if (line !== '') {
          event = withLine(event, line);
        } else {
          if (event.data !== '') {
            yield { ...event, type: event.type || 'message', data: event.data.slice(0, -1) };
          }
          event = { id: event.id, type: '', data: '' };
        }
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

function withLine(event: ServerEvent, line: string): ServerEvent {
  const colon = line.indexOf(':');
  const field = colon < 0 ? line : line.slice(0, colon);
  const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
  switch (field) {
    case 'id':
      return { ...event, id: value };
    case 'event':
      return { ...event, type: value };
    case 'data':
      return { ...event, data: `${event.data}${value}\n` };
    default:
      return event;
  }
}
