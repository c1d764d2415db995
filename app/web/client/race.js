// @ts-check
import { TRANSPORTS } from "./transports.js";

/** @typedef {import("./wire.js").End} End */
/** @typedef {import("./wire.js").Wire} Wire */

/**
 * @typedef {object} Track
 * @property {() => number} now
 * @property {(name: string) => Wire} launch
 * @property {() => boolean} deserted no candidate runs any more
 * @property {() => Promise<boolean>} reachable whether plain requests work at this moment
 * @property {(end: End) => void} lost none of them worked
 */

/** How long a candidate has to show that it works. */
export const GIVE_UP_MS = 10_000;
const PROBE_AGAIN_MS = 3000;
// A server that was slow to answer a plain request will answer the candidate about as late.
const GRACE_MS = 400;

/**
 * The start: one transport after another, the next one only if the last is in doubt or failed
 * while plain requests worked. A server that is down is no reason to go on to the next.
 */
export class Race {
  over = false;
  #queue;
  #trusted;
  #track;
  /** @type {Wire | null} the candidate that was started last */
  #newest = null;
  #probedAt = -Infinity;

  /**
   * @param {string[]} names in the order of their start
   * @param {string | null} trusted has worked before: nothing is started beside it
   * @param {Track} track
   */
  constructor(names, trusted, track) {
    this.#queue = [...names];
    this.#trusted = trusted;
    this.#track = track;
    this.#next();
  }

  #next() {
    const name = this.#queue.shift();
    if (name) this.#newest = this.#track.launch(name);
    return !!name;
  }

  /**
   * See whether the next one should be started beside a candidate that takes long.
   *
   * @param {Wire} wire
   */
  async look(wire) {
    if (this.over || wire !== this.#newest || wire.name === this.#trusted) return;
    const { doubt, head } = TRANSPORTS[wire.name];
    const now = this.#track.now();
    const age = now - wire.startedAt;
    if (age >= head && now - wire.clearedAt >= GRACE_MS) this.#next();
    else if (age >= doubt && wire.clearedAt === Infinity && now - this.#probedAt >= PROBE_AGAIN_MS) {
      this.#probedAt = now;
      if (await this.#track.reachable()) wire.clearedAt = this.#track.now();
    }
  }

  /**
   * A candidate has failed.
   *
   * @param {Wire} wire
   * @param {End} end
   */
  async failed(wire, end) {
    if (end.spoken || end.final) return this.#track.lost(end);
    const quick = this.#track.now() - wire.startedAt < GIVE_UP_MS;
    const cleared = wire.clearedAt < Infinity;
    const works = cleared || (await this.#track.reachable());
    if (this.over) return;
    const isLast = wire === this.#newest;
    if (works && isLast && quick && !cleared) {
      // The server may have come up just in between: once more, now that it is there.
      this.#newest = this.#track.launch(wire.name);
      this.#newest.clearedAt = this.#track.now();
    } else if (!(works && isLast && this.#next()) && this.#track.deserted()) this.#track.lost(end);
  }
}
