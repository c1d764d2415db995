// @ts-check
const ANSWER_MS = 5000;

/** Whether anything still comes. It looks at clocks and needs no timer that runs in time. */
export class Liveness {
  /** Milliseconds of silence after which nothing will come any more. */
  limit = Infinity;
  /** The longest silence that was followed by something, in milliseconds. */
  longest = 0;
  #env;
  #heardAt = 0;
  #wallAt = 0;
  #suspect = Infinity;

  /** @param {import("./env.js").Env} env */
  constructor(env) {
    this.#env = env;
    this.heard();
    this.longest = 0;
  }

  /** Take note that something came. */
  heard() {
    this.longest = Math.max(this.longest, this.quiet);
    this.#heardAt = this.#env.now();
    this.#wallAt = this.#env.wall();
    this.#suspect = Infinity;
  }

  /** Expect something soon: an answer to a ping. */
  suspect() {
    this.#suspect = Math.min(this.#suspect, this.quiet + ANSWER_MS);
  }

  /** Milliseconds since anything came. The monotonic clock may stand while the machine sleeps. */
  get quiet() {
    return Math.max(this.#env.now() - this.#heardAt, this.#env.wall() - this.#wallAt);
  }

  get dead() {
    return this.quiet >= Math.min(this.limit, this.#suspect);
  }
}
