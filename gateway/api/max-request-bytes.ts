/** Largest request over HTTP and gRPC, bytes: the longest prompts with every character escaped, and room. */
export const maxRequestBytes = 512 << 10;
