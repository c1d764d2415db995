// @ts-check
import { Chooser } from "./chooser.js";
import { Cursors } from "./cursors.js";
import { surroundings } from "./env.js";
import { Memory } from "./memory.js";

/** @typedef {import("./wire.js").End} End */
/** @typedef {import("./wire.js").Message} Message */
/** @typedef {import("./wire.js").Subscription} Subscription */
/** @typedef {import("./wire.js").Wire} Wire */
/** @typedef {"connecting" | "connected" | "reconnecting" | "disconnected"} Status */
/** @typedef {"websocket" | "sse" | "longpoll" | "polling"} Transport */

/**
 * @typedef {object} FeedOptions all of it can be sent to a worker
 * @property {string} url base address of the server, with a slash at its end
 * @property {Subscription[]} channels
 * @property {Transport[]} transports best first
 * @property {string | null} token
 * @property {Record<string, string>} [resume] the `cursors` of another feed's state
 */

/**
 * What a feed tells, all of it plain objects; `age` in milliseconds is that of a message which
 * somebody else has had for a while.
 *
 * @typedef {{kind: "message" | "history" | "gap" | "error", message: Message, age?: number}
 *   | {kind: "info", info: Message}
 *   | {kind: "status", status: Status, error: string | null}
 *   | {kind: "transport", transport: Transport | null}} FeedEvent
 */

const HIDDEN_MS = 30_000;

/** One logical stream of messages, whatever wires it comes over: exactly once and in order. */
export class Feed {
  #env;
  #emit;
  #chooser;
  #cursors;
  /** @type {Map<string, Subscription>} */
  #wanted;
  /** Channels that the server does not have. */
  #refused = new Set();
  /** @type {Record<string, {message: Message, at: number}>} the newest of each channel */
  #latest = {};
  /** @type {Map<string, {from: string, history?: Message}>} what nobody watched, by channel */
  #unseen = new Map();
  /** @type {Status} */
  #status = "connecting";
  /** @type {string | null} */
  #error = null;
  /** @type {Transport | null} */
  #transport = null;
  /** @type {Message | null} */
  #info = null;
  #met = false;
  #paused = false;
  /** @type {any} */
  #hiding;
  #leaveNetwork = () => {};

  /**
   * @param {FeedOptions} options
   * @param {Partial<import("./env.js").Env>} env
   * @param {(event: FeedEvent) => void} emit
   */
  constructor({ url, channels, transports, token, resume }, env, emit) {
    this.#env = surroundings(env);
    this.#emit = emit;
    this.#cursors = new Cursors(resume);
    this.#wanted = new Map(channels.map((one) => [one.channel, one]));
    const host = {
      env: this.#env,
      base: url,
      token,
      memory: new Memory(this.#env, url),
      cursors: this.#cursors,
      wanted: () => [...this.#wanted.values()].filter(({ channel }) => !this.#refused.has(channel)),
    };
    this.#chooser = new Chooser(host, transports, {
      up: (wire) => this.#up(wire),
      down: (end) => this.#down(end),
      message: (wire, message) => this.#take(wire, message),
    });
  }

  start() {
    this.#leaveNetwork = this.#env.network(() => this.#chooser.moved());
    this.#chooser.start();
  }

  /**
   * Subscribe to a channel, or change how: then it begins anew, with a snapshot.
   *
   * @param {string} channel
   * @param {Omit<Subscription, "channel">} how
   */
  subscribe(channel, { interval, detail, history }) {
    const wanted = { channel, interval, detail, history };
    if (JSON.stringify(wanted) === JSON.stringify(this.#wanted.get(channel))) return;
    this.#forget(channel);
    this.#wanted.set(channel, wanted);
    this.#chooser.update(channel);
  }

  /** @param {string} channel */
  unsubscribe(channel) {
    if (!this.#wanted.delete(channel)) return;
    this.#forget(channel);
    this.#chooser.update(channel);
  }

  /** @param {boolean} visible whether anybody can see it; if not for 30 s, it lets go of the server */
  visible(visible) {
    this.#env.clearTimeout(this.#hiding);
    if (!visible) this.#hiding = this.#env.setTimeout(() => this.#pause(), HIDDEN_MS);
    else if (this.#paused) {
      this.#paused = false;
      this.#say(this.#met ? "reconnecting" : "connecting");
      this.#chooser.start();
    } else this.check();
  }

  /** Look at the clock and the wire now: timers may have been throttled. */
  check() {
    this.#chooser.check();
  }

  close() {
    this.#env.clearTimeout(this.#hiding);
    this.#paused = false;
    this.#leaveNetwork();
    this.#chooser.stop();
    this.#move(null);
    this.#say("disconnected");
  }

  /** A snapshot that can be sent elsewhere; `resume: cursors` makes another feed go on from here. */
  state() {
    const now = this.#env.now();
    const latest = Object.entries(this.#latest);
    return {
      status: this.#status,
      error: this.#error,
      transport: this.#transport,
      info: this.#info,
      latest: Object.fromEntries(latest.map(([channel, { message }]) => [channel, message])),
      /** Milliseconds since each of them came. */
      ages: Object.fromEntries(latest.map(([channel, { at }]) => [channel, now - at])),
      cursors: this.#cursors.toJSON(),
    };
  }

  /** @param {string} channel */
  #forget(channel) {
    this.#cursors.delete(channel);
    this.#refused.delete(channel);
    this.#unseen.delete(channel);
    delete this.#latest[channel];
  }

  /** Nobody looks: on return there shall be one snapshot and not all that was missed. */
  #pause() {
    if (this.#status === "disconnected") return;
    this.#paused = true;
    this.#chooser.stop();
    for (const [channel, from] of Object.entries(this.#cursors.toJSON())) {
      if (!this.#unseen.has(channel)) this.#unseen.set(channel, { from });
      this.#cursors.delete(channel);
    }
    this.#move(null);
    this.#say("disconnected");
  }

  /** @param {Wire} wire */
  #up({ name }) {
    this.#met = true;
    this.#move(/** @type {Transport} */ (name));
    this.#say("connected");
  }

  /** @param {End} end */
  #down({ error, said, final }) {
    if (said) this.#emit({ kind: "error", message: said });
    // Over HTTP one such channel has all of them refused.
    if (said?.channel) this.#refused.add(said.channel);
    if (this.#refused.size >= this.#wanted.size) this.#refused.clear();
    this.#move(null);
    this.#say(final ? "disconnected" : this.#met ? "reconnecting" : "connecting", error);
  }

  /** @param {Transport | null} transport */
  #move(transport) {
    if (transport === this.#transport) return;
    this.#transport = transport;
    this.#emit({ kind: "transport", transport });
  }

  /**
   * @param {Status} status
   * @param {string | null} [error]
   */
  #say(status, error = null) {
    if (status === this.#status && error === this.#error) return;
    this.#status = status;
    this.#error = error;
    this.#emit({ kind: "status", status, error });
  }

  /**
   * @param {Wire} wire
   * @param {Message} message
   * @returns {number | undefined} see `Listener`
   */
  #take(wire, message) {
    const { type, channel = type } = message;
    if (type === "connected") return void this.#meet(message);
    if (type === "error") return void this.#emit({ kind: "error", message });
    const trusted = wire === this.#chooser.active || wire.anchored;
    if (type === "heartbeat") return void (trusted && this.#cursors.reach(message.cursor));
    if (type === "batch") return void this.#settle(message, trusted);
    const wanted = this.#wanted.get(channel);
    if (!wanted || (!trusted && this.#cursors.get(channel))) return;
    if (type === "history") this.#recall(wanted, message);
    else if (type !== "gap") return message.data && this.#deliver(wanted, message);
    else if (this.#cursors.skip(channel, message.to)) this.#emit({ kind: "gap", message });
  }

  /** @param {Message} info */
  #meet(info) {
    // Another server may have what this one had not.
    if (info.epoch !== this.#info?.epoch) this.#refused.clear();
    this.#info = info;
    this.#emit({ kind: "info", info });
  }

  /**
   * @param {Message} batch of a long-poll
   * @param {boolean} trusted
   */
  #settle({ cursor, channels }, trusted) {
    for (const channel of cursor ? channels : []) {
      if (trusted || !this.#cursors.get(channel)) this.#cursors.pass(channel, cursor);
    }
  }

  /**
   * @param {Subscription} wanted
   * @param {Message} message
   */
  #recall({ channel, history }, message) {
    const unseen = this.#unseen.get(channel);
    // A gap has to come first, and where it ends is known with the snapshot.
    if (unseen) unseen.history = message;
    else if (history) this.#emit({ kind: "history", message });
  }

  /**
   * @param {Subscription} wanted
   * @param {Message} message
   */
  #deliver(wanted, message) {
    const { channel } = wanted;
    const { timestamp, cursor } = message;
    const now = this.#env.now();
    const last = this.#latest[channel];
    if (!this.#cursors.pass(channel, cursor)) {
      return last?.message.cursor === cursor ? Math.max(1, now - last.at) : Infinity;
    }
    const unseen = this.#unseen.get(channel);
    if (unseen) {
      this.#unseen.delete(channel);
      const { from, history } = unseen;
      const gap = { type: "gap", timestamp, channel, reason: "hidden", from, to: cursor, missed: null };
      this.#emit({ kind: "gap", message: gap });
      if (history) this.#recall(wanted, history);
    }
    this.#latest[channel] = { message, at: now };
    this.#emit({ kind: "message", message });
    return 0;
  }
}
