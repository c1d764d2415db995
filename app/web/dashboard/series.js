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
   * What is held from before that time stays: after a restart the server itself knows less. So does
   * what has come since, and where both have a point the one that says more.
   *
   * @param {Message[]} items data messages and gaps, oldest first
   */
  fill(items) {
    const known = items.filter((item) => item.type !== "gap");
    if (!known.length) return;
    this.#at(known[0]);
    const [first, last] = [known[0].timestamp, known[known.length - 1].timestamp];
    const held = new Map(this.#points.map((point) => [point?.at, point?.data]));
    const given = items.map(({ type, timestamp: at, data }) =>
      type === "gap" ? null : { at, data: richer(data, held.get(at)) },
    );
    const later = this.#points.findIndex((point) => point !== null && point.at > last);
    const since = later < 0 ? [] : this.#points.slice(later);
    const until = this.#points.slice(0, later < 0 ? undefined : later);
    const before = until.filter((point) => point === null || point.at < first);
    this.#points = [...before, ...given, ...since];
    this.newest = this.#points.filter((point) => point !== null).slice(-1)[0];
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
   * @param {(data: any) => unknown} [value] a figure; where it is not known there is no point
   * @returns {Point[][]}
   */
  lines(value = () => true) {
    /** @type {Point[][]} */
    const lines = [];
    /** @type {Point | null} */
    let before = null;
    for (const point of this.#points) {
      if (point && value(point.data) == null) continue;
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

/**
 * Of two data of the same moment the one in more detail.
 *
 * @param {any} data
 * @param {any} held
 */
function richer(data, held) {
  return Object.keys(held ?? {}).length > Object.keys(data).length ? held : data;
}
