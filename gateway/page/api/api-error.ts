/** The gateway refused a request or could not be reached. */
export class ApiError extends Error {
  /** HTTP status; 0: no response. */
  readonly status: number;
  /** The invalid field of the request. */
  readonly field: string | undefined;
  /** When to retry, seconds. */
  readonly retryAfter: number | undefined;

  constructor(status: number, message: string, { field, retryAfter }: { field?: string; retryAfter?: number } = {}) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.field = field;
    this.retryAfter = retryAfter;
  }

  /** Whether the same request may succeed a little later. */
  get passes(): boolean {
    return this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504;
  }
}

/** Reads the error from an unsuccessful response. */
export async function readError(response: Response): Promise<ApiError> {
  const body = (await response.json().catch(() => undefined)) as
    | { error?: { message?: string; param?: string | null } }
    | undefined;
  const message = body?.error?.message ?? `The gateway answered ${response.status} ${response.statusText}`.trim();
  const field = body?.error?.param ?? undefined;
  const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN);
  return new ApiError(response.status, message, {
    ...(field && { field }),
    ...(Number.isFinite(retryAfter) && { retryAfter }),
  });
}

/** An error as a sentence for the user. */
export function inPlainWords(error: unknown): string {
  if (!(error instanceof ApiError)) {
    return error instanceof Error ? error.message : String(error);
  }
  const { status, field, message, retryAfter } = error;
  if (status === 429) {
    const moment = retryAfter ? ` Try again in ${retryAfter} s.` : ' Try again a little later.';
    return `${sentence(message)}${moment}`;
  }
  if (status === 403) {
    return `Your API key does not allow this. ${sentence(message)}`;
  }
  const name = `\`${field}\` `;
  return sentence(message.startsWith(name) ? message.slice(name.length) : message);
}

function sentence(text: string): string {
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}
