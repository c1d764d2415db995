// @ts-check
import { Liveness } from "./liveness.js";

/** @typedef {import("./env.js").Env} Env */
/** @typedef {Record<string, any> & {type: string}} Message as PROTOCOL.md has it */
/** @typedef {{channel: string, interval: number, detail: string, history: number}} Subscription */

/**
 * How a connection ended.
 *
 * @typedef {object} End
 * @property {string} error what to tell people
 * @property {boolean} [spoken] the server said so: no fault of the path
 * @property {boolean} [final] it shall not be tried again
 * @property {Message} [said] the server's error message
 * @property {number} [afterMs] when to come back, if the server said
 */

/**
 * What a wire needs of whoever opened it.
 *
 * @typedef {object} Host
 * @property {Env} env
 * @property {string} base address of the server, with a slash at its end
 * @property {string | null} token
 * @property {import("./memory.js").Memory} memory
 * @property {import("./cursors.js").Cursors} cursors
 * @property {() => Subscription[]} wanted
 * @property {() => boolean} free no other wire brings messages
 * @property {(wire: Wire, message: Message) => void} message
 * @property {(wire: Wire) => void} proven
 * @property {(wire: Wire, end: End) => void} ended once, and not after `close`
 */

/** One try at one transport. It reports to its host and decides nothing. */
export class Wire {
  /** It has shown that it works. */
  proven = false;
  /** It goes on from the cursors of the feed, so that it may bring messages beside another. */
  anchored = false;
  /** When a plain request first worked since it began. */
  clearedAt = Infinity;
  over = false;

  /**
   * @param {string} name of the transport
   * @param {Host} host
   */
  constructor(name, host) {
    this.name = name;
    this.host = host;
    this.startedAt = host.env.now();
    this.liveness = new Liveness(host.env);
  }

  open() {}

  /** Let go of what it holds. */
  stop() {}

  /** @param {Message} message */
  take(message) {
    if (this.over) return;
    if (message.type === "connected") this.liveness.limit = 2 * message.heartbeatMs + 5000;
    this.host.message(this, message);
  }

  prove() {
    if (this.proven || this.over) return;
    this.proven = true;
    this.host.proven(this);
  }

  close() {
    this.over = true;
    this.stop();
  }

  /** @param {End} end */
  end(end) {
    if (this.over) return;
    this.close();
    this.host.ended(this, end);
  }
}
