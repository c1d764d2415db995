// @ts-check
/**
 * Clients that components share, for bindings to user interface libraries.
 *
 * All who agree on where and how to connect share one client, and one subscription if they also
 * agree on its interval, detail and history. The last to leave closes it, but not at once: what
 * goes away and comes back in the same breath (StrictMode, a route that changes, an interval
 * that is switched) finds its connection as it was.
 *
 * @import { Client } from "./client.js"
 * @import { Status, Transport } from "./feed.js"
 */

/**
 * What somebody wants to see: one channel, as it is subscribed to, over one kind of connection.
 *
 * @typedef {object} Want
 * @property {string} channel
 * @property {number} interval milliseconds between two messages
 * @property {string} detail `simple`, `standard` or `full`
 * @property {number} history past messages to begin with
 * @property {object} connection the options of `connect` that are not about a channel
 */

/**
 * What is known of a channel. A view gives the same object until something in it changes.
 *
 * @typedef {object} Snapshot
 * @property {any} data the `data` of the newest message; null until there is one
 * @property {boolean} loading neither data nor an error has come yet
 * @property {string | null} error what is wrong at present
 * @property {Status} connectionStatus
 * @property {Transport | null} transport
 * @property {Date | null} lastUpdated when the data came, by this machine's clock
 */

/**
 * A channel as somebody wants it, in the form that external stores have.
 *
 * @typedef {object} View
 * @property {(listener: () => void) => () => void} subscribe calls the listener after each change,
 *   until the returned function is called
 * @property {() => Snapshot} read the snapshot as of now
 */

/**
 * @typedef {object} Env
 * @property {(options: any) => Client} connect
 * @property {(task: () => void) => unknown} [soon] run a task before the browser does anything else
 * @property {(task: () => void) => unknown} [later] run a task after what goes on now is over
 * @property {() => number} [now] milliseconds since the epoch
 */

/** @type {Readonly<Snapshot>} What is known before there is a connection, as on a server. */
export const NOTHING = Object.freeze({
  data: null,
  loading: true,
  error: null,
  connectionStatus: "connecting",
  transport: null,
  lastUpdated: null,
});

/** All clients that are shared. */
export class Pool {
  /** @type {Map<string, SharedClient[]>} those of one key differ in how they subscribe */
  #clients = new Map();
  /** @type {Required<Env>} */
  #env;

  /** @param {Env} env */
  constructor(env) {
    this.#env = {
      soon: (task) => queueMicrotask(task),
      later: (task) => setTimeout(task, 0),
      now: () => Date.now(),
      ...env,
    };
  }

  /**
   * Return a view. It costs nothing until somebody subscribes to it.
   *
   * @param {Want} want
   * @returns {View}
   */
  view(want) {
    const key = JSON.stringify(want.connection);
    return {
      subscribe: (listener) => this.#watch(key, want, listener),
      read: () => this.#nearest(key, want)?.snapshot ?? NOTHING,
    };
  }

  /**
   * @param {string} key
   * @param {Want} want
   * @param {() => void} listener
   */
  #watch(key, want, listener) {
    const known = this.#nearest(key, want);
    const clients = this.#clients.get(key) ?? [];
    let client = clients.find((each) => each.suits(want));
    if (!client) {
      client = new SharedClient(want.connection, this.#env);
      this.#clients.set(key, [...clients, client]);
    }
    const watched = client.watch(want, known);
    watched.listeners.add(listener);
    return () => {
      watched.listeners.delete(listener);
      if (watched.idle) this.#env.later(() => this.#sweep(key));
    };
  }

  /**
   * The channel as it is wanted, else one with the same kind of data to show in the meantime.
   *
   * @param {string} key
   * @param {Want} want
   */
  #nearest(key, want) {
    const all = (this.#clients.get(key) ?? []).flatMap((client) => client.watched(want.channel));
    return (
      all.find((each) => sameSubscription(each.want, want)) ??
      all.find((each) => each.want.detail === want.detail)
    );
  }

  /** @param {string} key */
  #sweep(key) {
    const left = (this.#clients.get(key) ?? []).filter((client) => client.sweep());
    if (left.length) this.#clients.set(key, left);
    else this.#clients.delete(key);
  }
}

/** One client and the channels that are watched through it. */
class SharedClient {
  /** @type {Map<string, Watched>} */
  #channels = new Map();
  /** @type {Client | null} */
  #client = null;
  /** @type {string | null} why there is no client */
  #failure = null;
  #env;

  /**
   * @param {object} connection
   * @param {Required<Env>} env
   */
  constructor(connection, env) {
    this.#env = env;
    // All components that are mounted together have told what they want before it connects.
    env.soon(() => this.#open(connection));
  }

  /** @param {string} channel */
  watched(channel) {
    return this.#channels.get(channel) ?? [];
  }

  /**
   * Whether this can be watched here without changing what others see.
   *
   * @param {Want} want
   */
  suits(want) {
    const watched = this.#channels.get(want.channel);
    if (!watched || sameSubscription(watched.want, want)) return true;
    // In another detail the data has another shape, and some may still be on its way.
    return watched.idle && watched.want.detail === want.detail;
  }

  /**
   * @param {Want} want
   * @param {Watched | undefined} known what to show until its own data comes
   */
  watch(want, known) {
    const before = this.#channels.get(want.channel);
    if (before && sameSubscription(before.want, want)) return before;
    const watched = new Watched(want, known);
    this.#channels.set(want.channel, watched);
    this.#client?.subscribe(want.channel, subscription(want));
    this.#recall(watched);
    return watched;
  }

  /** Drop what nobody watches any longer; tell whether anything is left. */
  sweep() {
    const idle = [...this.#channels.values()].filter((watched) => watched.idle);
    for (const { want } of idle) this.#channels.delete(want.channel);
    if (this.#channels.size) for (const { want } of idle) this.#client?.unsubscribe(want.channel);
    else this.#client?.close();
    return this.#channels.size > 0;
  }

  /** @param {object} connection */
  #open(connection) {
    const channels = [...this.#channels.values()].map(({ want }) => subscription(want));
    try {
      this.#client = this.#env.connect({ ...connection, channels });
    } catch (error) {
      // There is nobody to throw it at: those who watch were mounted long ago.
      this.#failure = error instanceof Error ? error.message : String(error);
      this.#refreshAll();
      return;
    }
    this.#client.addEventListener("message", (event) => this.#take(detailOf(event)));
    this.#client.addEventListener("error", (event) => this.#refuse(detailOf(event)));
    this.#client.addEventListener("status", () => this.#refreshAll());
    this.#client.addEventListener("transport", () => this.#refreshAll());
    for (const watched of this.#channels.values()) this.#recall(watched);
  }

  /**
   * Show what came before anybody here listened: another tab may have this channel too.
   *
   * @param {Watched} watched
   */
  #recall(watched) {
    const newest = watched.data === null && this.#client?.latest(watched.want.channel);
    if (newest) this.#take(newest);
    else this.#refresh(watched);
  }

  /** @param {{ type: string, data?: unknown }} message */
  #take({ type, data }) {
    const watched = this.#channels.get(type);
    if (!watched) return;
    // What another tab received may have been lying there for a while.
    const age = this.#client?.ageMs ?? 0;
    watched.data = data;
    watched.lastUpdated = new Date(this.#env.now() - age);
    watched.refusal = null;
    this.#refresh(watched);
  }

  /** @param {{ message: string, channel?: string }} refusal */
  #refuse({ message, channel }) {
    const watched = channel && this.#channels.get(channel);
    if (!watched) return;
    watched.refusal = message;
    this.#refresh(watched);
  }

  #refreshAll() {
    for (const watched of this.#channels.values()) this.#refresh(watched);
  }

  /** @param {Watched} watched */
  #refresh(watched) {
    const { data, lastUpdated, refusal } = watched;
    const error = this.#failure ?? this.#client?.error ?? refusal;
    watched.show({
      data,
      loading: data === null && error === null,
      error,
      connectionStatus: this.#failure ? "disconnected" : (this.#client?.status ?? "connecting"),
      transport: this.#client?.transport ?? null,
      lastUpdated,
    });
  }
}

/** One channel of a client, and those who watch it. */
class Watched {
  /** @type {Set<() => void>} */
  listeners = new Set();
  /** @type {unknown} */
  data;
  /** @type {Date | null} */
  lastUpdated;
  /** @type {string | null} the server's last error about this channel, until data comes */
  refusal = null;
  /** @type {Readonly<Snapshot>} */
  snapshot;

  /**
   * @param {Want} want
   * @param {Watched} [known]
   */
  constructor(want, known) {
    this.want = want;
    this.data = known?.data ?? null;
    this.lastUpdated = known?.lastUpdated ?? null;
    this.snapshot = known?.snapshot ?? NOTHING;
  }

  get idle() {
    return this.listeners.size === 0;
  }

  /** @param {Snapshot} next */
  show(next) {
    const keys = /** @type {(keyof Snapshot)[]} */ (Object.keys(next));
    if (keys.every((key) => next[key] === this.snapshot[key])) return;
    this.snapshot = Object.freeze(next);
    for (const listener of [...this.listeners]) listener();
  }
}

/** @param {Want} want */
function subscription({ channel, interval, detail, history }) {
  return { channel, interval, detail, history };
}

/**
 * @param {Want} one
 * @param {Want} other
 */
function sameSubscription(one, other) {
  return JSON.stringify(subscription(one)) === JSON.stringify(subscription(other));
}

/** @param {Event} event */
function detailOf(event) {
  return /** @type {CustomEvent} */ (event).detail;
}
