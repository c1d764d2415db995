// @ts-check
/** @typedef {import("./feed.js").FeedEvent} FeedEvent */
/** @typedef {import("./wire.js").Message} Message */
/** @typedef {import("./wire.js").Subscription} Subscription */
/** @typedef {Partial<Omit<Subscription, "channel">>} How interval in ms, detail, history */
/** @typedef {Omit<import("./feed.js").Feed, "state">} Source a `Feed` or what stands for one */

/** How a channel is subscribed to where nothing else is said. */
export const DEFAULTS = { interval: 5000, detail: "standard", history: 0 };

// What a loop that is slower than the messages may leave behind it; beyond that the oldest go.
const BACKLOG = 1000;
const GRACE_MS = 2000;

/**
 * A live connection to a Pulsewire server.
 *
 * Its events are `CustomEvent`s: `message` (`detail`: a data message; each once, in order),
 * `history`, `gap`, `error` (the server's message), `status` (`{status, error}`), `transport`
 * (the name or null).
 */
export class Client extends EventTarget {
  #feed;
  #env;
  #defaults;
  /** @type {import("./feed.js").Status} */
  #status = "connecting";
  /** @type {string | null} */
  #error = null;
  /** @type {import("./feed.js").Transport | null} */
  #transport = null;
  /** @type {Message | null} */
  #info = null;
  /** @type {Map<string, Message>} */
  #latest = new Map();
  #dataAt = -Infinity;
  #lateMs = 0;
  #closing = new AbortController();

  /**
   * @param {(emit: (event: FeedEvent) => void) => Source} open makes the feed
   * @param {Pick<import("./env.js").Env, "now" | "page">} env
   * @param {How} [defaults] of subscriptions
   */
  constructor(open, env, defaults) {
    super();
    this.#env = env;
    this.#defaults = { ...DEFAULTS, ...defaults };
    this.#feed = open((event) => this.#take(event));
    this.#feed.start();
    this.#watch();
  }

  /** `connecting` until it has worked; `disconnected` also while nobody can see the page. */
  get status() {
    return this.#status;
  }

  /** The transport in use, null while there is none. */
  get transport() {
    return this.#transport;
  }

  /** Why there is no connection, in words for people; null if there is nothing to say. */
  get error() {
    return this.#error;
  }

  /** The server's `connected` message, null before there was one. */
  get info() {
    return this.#info;
  }

  /** Milliseconds since a data message came, by this machine's own clock; null before the first. */
  get ageMs() {
    return this.#latest.size ? this.#env.now() - this.#dataAt : null;
  }

  /** There is no data, or it is older than two intervals and 2 s. */
  get stale() {
    return (this.ageMs ?? Infinity) > this.#lateMs;
  }

  /**
   * @param {string} channel
   * @returns {Message | null} its newest data message
   */
  latest(channel) {
    return this.#latest.get(channel) ?? null;
  }

  /**
   * Subscribe to a channel, or change how; then it begins anew with a snapshot.
   *
   * @param {string} channel
   * @param {How} [how] what is left out is as `connect` was told
   */
  subscribe(channel, how) {
    this.#feed.subscribe(channel, { ...this.#defaults, ...how });
  }

  /** @param {string} channel */
  unsubscribe(channel) {
    this.#latest.delete(channel);
    this.#feed.unsubscribe(channel);
  }

  /** End it for good. */
  close() {
    this.#closing.abort();
    this.#feed.close();
    // Who listens is told, whatever the feed had to say.
    this.#take({ kind: "status", status: "disconnected", error: null });
  }

  /**
   * The data messages from now on, until it is closed.
   *
   * @returns {AsyncGenerator<Message, void>}
   */
  async *[Symbol.asyncIterator]() {
    const { signal } = this.#closing;
    const leaving = new AbortController();
    /** @type {Message[]} */
    const backlog = [];
    let wake = () => {};
    const take = (/** @type {any} */ { detail }) => {
      if (backlog.push(detail) > BACKLOG) backlog.shift();
      wake();
    };
    this.addEventListener("message", take, { signal: leaving.signal });
    signal.addEventListener("abort", () => wake(), { signal: leaving.signal });
    try {
      while (!signal.aborted) {
        const message = backlog.shift();
        if (message) yield message;
        else await new Promise((resolve) => { wake = () => resolve(undefined); });
      }
    } finally {
      leaving.abort();
    }
  }

  /** Tell the feed what happens to the page. */
  #watch() {
    const { page } = this.#env;
    if (!page) return;
    const { signal } = this.#closing;
    const look = () => this.#feed.visible(page.document.visibilityState !== "hidden");
    page.document.addEventListener("visibilitychange", look, { signal });
    // A page that comes back from the back-forward cache has been frozen.
    for (const type of ["pageshow", "online"]) page.addEventListener(type, () => this.#feed.check(), { signal });
    look();
  }

  /** @param {FeedEvent} event */
  #take(event) {
    if (event.kind === "info") this.#info = event.info;
    else if (event.kind === "transport") {
      this.#transport = event.transport;
      this.#tell("transport", event.transport);
    } else if (event.kind === "status") {
      const { status, error } = event;
      if (status === this.#status && error === this.#error) return;
      [this.#status, this.#error] = [status, error];
      this.#tell("status", { status, error });
    } else {
      if (event.kind === "message") this.#keep(event.message, event.age);
      this.#tell(event.kind, event.message);
    }
  }

  /**
   * @param {Message} message
   * @param {number} [age] milliseconds
   */
  #keep(message, age = 0) {
    this.#latest.set(message.type, message);
    this.#dataAt = Math.max(this.#dataAt, this.#env.now() - age);
    const intervals = [...this.#latest.values()].map(({ intervalMs }) => intervalMs);
    this.#lateMs = 2 * Math.min(...intervals) + GRACE_MS;
  }

  /**
   * @param {string} type
   * @param {unknown} detail
   */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
