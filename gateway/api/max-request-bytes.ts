/** Maximum size of an HTTP or gRPC request in bytes: the longest prompts with every character escaped, plus a margin. */
export const maxRequestBytes = 512 << 10;
