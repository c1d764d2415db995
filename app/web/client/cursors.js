// @ts-check
/** How far each channel has come. */

/** @typedef {string} Cursor `epoch:seq` */

/** @param {Cursor} cursor; @returns {[string, number]} */
const parts = (cursor) => {
  const [epoch, seq] = cursor.split(":");
  return [epoch, Number(seq)];
};

/**
 * Whether a cursor lies beyond what one had; in another epoch everything does.
 *
 * @param {Cursor} cursor
 * @param {Cursor | undefined} had
 */
export function beyond(cursor, had) {
  const [[epoch, seq], [before, last]] = [parts(cursor), parts(had ?? ":")];
  return epoch !== before || seq > last;
}

/** The cursor of each channel: everything up to there has come, or is not coming. */
export class Cursors {
  /** @type {Map<string, Cursor>} */
  #all;

  /** @param {Record<string, Cursor>} [start] by channel */
  constructor(start = {}) {
    this.#all = new Map(Object.entries(start));
  }

  /** @param {string} channel */
  get(channel) {
    return this.#all.get(channel);
  }

  /** @param {string} channel */
  delete(channel) {
    this.#all.delete(channel);
  }

  /**
   * Take the cursor of a message.
   *
   * @param {string} channel
   * @param {Cursor} cursor
   * @returns {boolean} false if the message had come before
   */
  pass(channel, cursor) {
    const isNew = beyond(cursor, this.get(channel));
    if (isNew) this.#all.set(channel, cursor);
    return isNew;
  }

  /**
   * Take a gap: what lies before its end is not coming.
   *
   * @param {string} channel
   * @param {Cursor} to
   * @returns {boolean} false if the channel had come to its end before
   */
  skip(channel, to) {
    const [epoch, seq] = parts(to);
    const isNew = beyond(to, this.get(channel));
    if (isNew && seq > 0) this.pass(channel, `${epoch}:${seq - 1}`);
    return isNew;
  }

  /** @param {Cursor | null} cursor up to which there was nothing more, in any channel */
  reach(cursor) {
    for (const [channel, had] of this.#all) {
      if (cursor && parts(cursor)[0] === parts(had)[0]) this.pass(channel, cursor);
    }
  }

  /**
   * The one cursor from which a stream of all these channels lacks nothing.
   *
   * @param {string[]} channels
   * @returns {Cursor | null} null if none of them has come to anywhere
   */
  lowest(channels) {
    const all = channels.flatMap((channel) => this.get(channel) ?? []);
    const epochs = new Set(all.map((cursor) => parts(cursor)[0]));
    // Of two epochs one is over, but which? A cursor that no server ever gave has both told.
    if (epochs.size > 1) return "0:0";
    return all.reduce((low, cursor) => (beyond(low, cursor) ? cursor : low), all[0]) ?? null;
  }

  /** @returns {Record<string, Cursor>} by channel */
  toJSON() {
    return Object.fromEntries(this.#all);
  }
}
