// @ts-check
const LASTS_MS = 30 * 60_000;
// What is cut sooner than this is broken rather than quiet.
const SHORTEST_CUT_MS = 2000;
const MARGIN = 0.6;

/** What is known of the path to an origin, for 30 minutes: what worked, and what was cut. */
export class Memory {
  #env;
  #key;

  /**
   * @param {import("./env.js").Env} env
   * @param {string} base address of the server
   */
  constructor(env, base) {
    this.#env = env;
    this.#key = `pulsewire ${new URL(base).origin}`;
  }

  /** @returns {{transport?: string, cut?: number, at: number}} */
  #read() {
    try {
      const known = JSON.parse(this.#env.storage.getItem(this.#key) ?? "");
      if (Math.abs(this.#env.wall() - known.at) < LASTS_MS) return known;
    } catch {
      // Nothing was kept, or nothing of ours.
    }
    return { at: this.#env.wall() };
  }

  /** @param {{transport?: string, cut?: number, at?: number}} news */
  #write(news) {
    try {
      this.#env.storage.setItem(this.#key, JSON.stringify({ ...this.#read(), ...news }));
    } catch {
      // The storage is full, or not for us.
    }
  }

  /** The transport that worked last. */
  get transport() {
    return this.#read().transport;
  }

  /** Milliseconds of silence that are safe on this path. */
  get quiet() {
    return (this.#read().cut ?? Infinity) * MARGIN;
  }

  /** @param {string} transport that works */
  works(transport) {
    this.#write({ transport, at: this.#env.wall() });
  }

  /**
   * Learn from the end of a connection whether the path cuts quiet ones.
   *
   * @param {{quiet: number, longest: number}} liveness of the connection
   */
  learn({ quiet, longest }) {
    if (quiet >= SHORTEST_CUT_MS && quiet > longest && quiet * MARGIN < this.quiet) {
      this.#write({ cut: quiet });
    }
  }

  /** Forget everything: the network is another one. */
  forget() {
    this.#env.storage.removeItem(this.#key);
  }
}
