/** Limits of ECDC version 1; each is enforced before memory is taken. */
export const MAX_HEADER = 2 ** 20;
export const MAX_CODEBOOKS = 64;
export const MAX_STREAMS = 8;
export const MAX_CHANNELS = 8;
export const MAX_CODEBOOK_SIZE = 2 ** 16;
export const MAX_PACKET = 2 ** 20;
export const MAX_PACKET_FRAMES = 2 ** 16;
export const MAX_HOP = 2 ** 16;
export const MAX_RATE = 2 ** 20;
export const MAX_CHANNEL_MASK = 2 ** 18 - 1;
export const MAX_SCALE = 2 ** 16;
export const MAX_SEQUENCE = 2 ** 32 - 1;
/** Samples or frames in one file. */
export const MAX_COUNT = 2 ** 48;
/** Longest timeline that a reader follows. */
export const MAX_SECONDS = 100 * 3600;
export const MAX_POINTS = 4096;
