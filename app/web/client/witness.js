// @ts-check
// A message may come so much later than by another transport, or than it was due.
const LATE_MS = 1000;
const OVERDUE_MS = 2000;
// Messages that come this close together were held back, unless they were measured together.
const BUNCH_MS = 50;
const SETTLED_MS = 5000;

/** @typedef {import("./wire.js").Wire} Wire */

/**
 * Finds out whether an event stream is held back on its way: if it is quiet when a message is due,
 * or brings several at once, a long-poll is asked beside it. Who is first is proof.
 */
export class Witness {
  /** @type {Wire | null} the long-poll, while there is doubt */
  wire = null;
  #stream;
  #env;
  #ask;
  #aheadSince = Infinity;
  #patience = 1;
  #bunched = false;
  #last = { at: -Infinity, timestamp: 0 };
  #since;

  /**
   * @param {Wire} stream
   * @param {() => Wire | null} ask starts the long-poll, if there may be one
   */
  constructor(stream, ask) {
    this.#stream = stream;
    this.#env = stream.host.env;
    this.#ask = ask;
    this.#since = this.#env.now();
  }

  /**
   * Look at the clock.
   *
   * @param {number} interval milliseconds between two messages
   * @returns {boolean} whether the stream is held back
   */
  look(interval) {
    const { quiet, limit } = this.#stream.liveness;
    const due = Math.min(interval, limit / 2);
    const overdue = quiet >= (due + OVERDUE_MS) * this.#patience;
    if (!this.wire && (overdue || this.#bunched)) this.wire = this.#ask();
    return this.#env.now() - this.#aheadSince >= LATE_MS;
  }

  /**
   * Take note of a data message.
   *
   * @param {Wire} wire that brought it
   * @param {import("./wire.js").Message} message
   * @param {boolean} isNew
   */
  heard(wire, { timestamp, intervalMs }, isNew) {
    const now = this.#env.now();
    if (wire === this.wire && isNew) this.#aheadSince = Math.min(this.#aheadSince, now);
    if (wire !== this.#stream) return;
    if (this.wire) this.dismiss();
    const { at, timestamp: before } = this.#last;
    const apart = timestamp - before >= 0.8 * intervalMs;
    this.#bunched = apart && now - at < BUNCH_MS && now - this.#since > SETTLED_MS;
    this.#last = { at: now, timestamp };
  }

  /** Leave it at that, and take longer to doubt again. */
  dismiss() {
    this.wire?.close();
    this.wire = null;
    this.#aheadSince = Infinity;
    this.#patience *= 2;
  }
}
