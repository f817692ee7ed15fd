/**
 * How many connections the system holds until this process accepts them, at most what the system allows (4096 on
 * Linux). With Node's default of 511, hundreds of clients that connect at once fill it; further ones are ignored until
 * TCP retransmits, after 1, 3, 7 and 15 seconds.
 */
export const listenBacklog = 4096;
