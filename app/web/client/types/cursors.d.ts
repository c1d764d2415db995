/** How far each channel has come. */
export type Cursor = string;
/**
 * Whether a cursor lies beyond what one had; in another epoch everything does.
 *
 * @param {Cursor} cursor
 * @param {Cursor | undefined} had
 */
export declare function beyond(cursor: Cursor, had: Cursor | undefined): boolean;
/** The cursor of each channel: everything up to there has come, or is not coming. */
export declare class Cursors {
    #private;
    /** @param {Record<string, Cursor>} [start] by channel */
    constructor(start?: Record<string, Cursor>);
    /** @param {string} channel */
    get(channel: string): string | undefined;
    /** @param {string} channel */
    delete(channel: string): void;
    /**
     * Take the cursor of a message.
     *
     * @param {string} channel
     * @param {Cursor} cursor
     * @returns {boolean} false if the message had come before
     */
    pass(channel: string, cursor: Cursor): boolean;
    /**
     * Take a gap: what lies before its end is not coming.
     *
     * @param {string} channel
     * @param {Cursor} to
     * @returns {boolean} false if the channel had come to its end before
     */
    skip(channel: string, to: Cursor): boolean;
    /** @param {Cursor | null} cursor up to which there was nothing more, in any channel */
    reach(cursor: Cursor | null): void;
    /**
     * The one cursor from which a stream of all these channels lacks nothing.
     *
     * @param {string[]} channels
     * @returns {Cursor | null} null if none of them has come to anywhere
     */
    lowest(channels: string[]): Cursor | null;
    /** @returns {Record<string, Cursor>} by channel */
    toJSON(): Record<string, Cursor>;
}
