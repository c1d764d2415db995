// @ts-check
const FIRST_MS = 30_000;
const LONGEST_MS = 600_000;

/** When a better transport is tried again: less often each time that it did not work. */
export class Trials {
  #pauseMs = FIRST_MS;
  #at = Infinity;

  /** @param {number} now in monotonic milliseconds */
  schedule(now) {
    this.#at = now + this.#pauseMs;
  }

  cancel() {
    this.#at = Infinity;
  }

  /** It did not work. */
  slow() {
    this.#pauseMs = Math.min(LONGEST_MS, 2 * this.#pauseMs);
  }

  /** Begin with short pauses again. */
  reset() {
    this.#pauseMs = FIRST_MS;
  }

  /**
   * @param {number} now
   * @returns {boolean} once for each `schedule`
   */
  due(now) {
    const due = now >= this.#at;
    if (due) this.cancel();
    return due;
  }
}
