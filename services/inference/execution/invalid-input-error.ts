/** The caller's data is not a valid tensor. */
export class InvalidInputError extends Error {}
