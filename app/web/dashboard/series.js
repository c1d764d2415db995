// @ts-check
/**
 * What a chart shows: the last minutes of one channel, with its holes.
 *
 * @typedef {object} Point
 * @property {number} at milliseconds since the epoch, by the server's clock
 * @property {any} data the message's `data`
 *
 * @typedef {{ type: string, timestamp: number, intervalMs?: number, data?: any }} Message
 */

/** Points in order of time; null stands for a hole that the server has declared. */
export class Series {
  /** @type {(Point | null)[]} */
  #points = [];

  /** The interval of the points, in milliseconds; 0 before there are any. */
  intervalMs = 0;

  /** @type {Point | null} the newest point */
  newest = null;

  /**
   * Take in what was measured before the page was there, or while it was cut off.
   *
   * What is held from before that time stays: after a restart the server itself knows less.
   *
   * @param {Message[]} items data messages and gaps, oldest first
   */
  fill(items) {
    const first = items.find((item) => item.type !== "gap");
    if (!first) return;
    this.#at(first);
    this.#points = this.#points.filter((point) => point === null || point.at < first.timestamp);
    for (const item of items) this.push(item);
  }

  /**
   * Take in the next message, or a gap.
   *
   * @param {Message} message
   */
  push(message) {
    if (message.type === "gap") {
      this.#points.push(null);
      return;
    }
    this.#at(message);
    const at = message.timestamp;
    // What lies ahead was measured before the clock was set back.
    if ((this.newest?.at ?? 0) >= at) {
      this.#points = this.#points.filter((point) => point === null || point.at < at);
    }
    this.newest = { at, data: message.data };
    this.#points.push(this.newest);
  }

  /**
   * Forget what is older than that.
   *
   * @param {number} start milliseconds since the epoch
   */
  forget(start) {
    const kept = this.#points.findIndex((point) => point !== null && point.at >= start);
    this.#points.splice(0, kept);
  }

  /**
   * The lines to draw: points that follow each other without a hole, declared or merely seen.
   *
   * @returns {Point[][]}
   */
  lines() {
    /** @type {Point[][]} */
    const lines = [];
    /** @type {Point | null} */
    let before = null;
    for (const point of this.#points) {
      const follows = point && before && point.at - before.at < 1.5 * this.intervalMs;
      if (follows) lines[lines.length - 1].push(point);
      else if (point) lines.push([point]);
      before = point;
    }
    return lines;
  }

  /**
   * Means over another interval do not belong on the same line.
   *
   * @param {Message} message
   */
  #at({ intervalMs = 0 }) {
    if (intervalMs !== this.intervalMs) this.#points = [];
    this.intervalMs = intervalMs;
  }
}
