// @ts-check
const FLOOR_MS = 500;
const CEILING_MS = 30_000;
const HEALTHY_MS = 30_000;

/** When to try again: full jitter, longer each time, forgotten after health. */
export class Backoff {
  /** @type {number | null} in monotonic milliseconds; null while there is nothing to wait for */
  at = null;
  #tries = 0;
  #ordered = false;
  #upSince = Infinity;

  /** @param {number} now when a connection began to work */
  up(now) {
    this.#upSince = now;
  }

  /**
   * @param {number} now when it ended
   * @returns {boolean} whether it had lasted
   */
  down(now) {
    const healthy = now - this.#upSince >= HEALTHY_MS;
    if (healthy) this.#tries = 0;
    this.#upSince = Infinity;
    return healthy;
  }

  /**
   * @param {number} now
   * @param {number} random from 0 up to 1
   * @param {number} [afterMs] what the server said
   */
  wait(now, random, afterMs) {
    this.#ordered = afterMs !== undefined;
    this.at = now + (afterMs ?? this.#next(random));
  }

  /** @param {number} random */
  #next(random) {
    const ceiling = Math.min(CEILING_MS, 2 * FLOOR_MS * 2 ** this.#tries++);
    return FLOOR_MS + random * (ceiling - FLOOR_MS);
  }

  /** @param {number} now to try, unless the server said when */
  hurry(now) {
    if (this.at !== null && !this.#ordered) this.at = now;
  }
}
