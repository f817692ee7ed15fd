/** The error reason of a call that was never sent, because there was no connection. */
export const noConnection = 'NO_CONNECTION';
