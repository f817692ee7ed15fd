/**
 * How many connections the system holds until this process accepts them, at most what the system allows (4096 on Linux). With
 * Node's default of 511, hundreds of clients that connect at once fill it; others are then ignored and wait for their
 * repeats, which TCP sends after 1, 3, 7 and 15 seconds.
 */
export const listenBacklog = 4096;
