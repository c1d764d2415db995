// @ts-check
/** One feed for all tabs of a browser that want the same. */

import { surroundings } from "./env.js";
import { identify } from "./host.js";
import { Picture } from "./picture.js";
import { AloneWay, ElectionWay, WorkerWay } from "./ways.js";

/** @typedef {import("./picture.js").SharedEvent} SharedEvent */
/** @typedef {import("./wire.js").Subscription} Subscription */
/**
 * One stay with a host.
 *
 * @typedef {object} Stay
 * @property {string} id of this tab
 * @property {Promise<void>} held others can see that it lives
 * @property {AbortController} abort
 * @property {any} [way]
 * @property {string} [leader] who has begun to lead meanwhile
 * @property {string} [host] who has welcomed this tab
 * @property {boolean} [asked] an answer is due
 */

// Whoever is silent for so long does not work, or has died, or was put to sleep.
const ANSWER_MS = 1000;
const ASK_MS = 5000;
const WAYS = [WorkerWay, ElectionWay, AloneWay];

/**
 * @param {import("./feed.js").FeedOptions} options
 * @returns {string} what tabs that share a feed have in common
 */
function keyOf({ url, token, transports, channels }) {
  const wanted = channels.map(({ channel, interval, detail, history }) => [channel, interval, detail, history]);
  return `pulsewire ${JSON.stringify([url, token, transports, wanted.sort()])}`;
}

/**
 * What a `Feed` is, shared by the tabs of an origin that want the same: a worker hosts it, else one
 * of the tabs does, else each its own. What is there but does not work is passed over.
 */
export class SharedFeed {
  #options;
  #env;
  #emit;
  #picture;
  #way = 0;
  #visible = true;
  /** @type {any} */
  #timer;
  /** @type {Stay | undefined} */
  #stay;

  /**
   * @param {import("./feed.js").FeedOptions} options
   * @param {any} env what to take instead of what the browser has
   * @param {(event: SharedEvent) => void} emit
   */
  constructor(options, env, emit) {
    this.#options = options;
    this.#emit = emit;
    this.#picture = new Picture(options.channels, { cursors: options.resume });
    this.#env = {
      ...surroundings(),
      locks: globalThis.navigator?.locks,
      BroadcastChannel: globalThis.BroadcastChannel,
      // Bundlers know the worker by these very words. The number is to change with what is said to
      // it: one of an older version runs for as long as any tab does.
      worker: () => new SharedWorker(new URL("./worker.js", import.meta.url), { type: "module", name: "pulsewire 1" }),
      ...env,
    };
  }

  start() {
    for (const type of ["pagehide", "pageshow"]) this.#env.page?.addEventListener(type, this.#turn);
    this.#join();
  }

  close() {
    for (const type of ["pagehide", "pageshow"]) this.#env.page?.removeEventListener(type, this.#turn);
    this.#leave();
    this.#tell({ kind: "transport", transport: null });
    this.#tell({ kind: "status", status: "disconnected", error: null });
  }

  /**
   * Subscribe to a channel, or change how: the tab moves to the feed of those who want the same.
   *
   * @param {string} channel
   * @param {Omit<Subscription, "channel">} how
   */
  subscribe(channel, how) {
    this.#want(channel, [{ ...how, channel }]);
  }

  /** @param {string} channel */
  unsubscribe(channel) {
    this.#want(channel, []);
  }

  /** @param {boolean} visible whether this tab is; the feed rests while none of them is */
  visible(visible) {
    this.#visible = visible;
    if (this.#stay?.host) this.#ask(visible ? "check" : "ping");
  }

  /** Look at the clock, the host and the wire now. */
  check() {
    if (this.#stay?.host) this.#ask("check");
  }

  /** A page that may come back from the browser's cache holds nothing meanwhile. */
  #turn = (/** @type {Event} */ { type }) => {
    if (type === "pagehide") this.#leave();
    else if (!this.#stay) this.#join();
  };

  /**
   * @param {string} channel
   * @param {Subscription[]} wanted of this channel, none or one
   */
  #want(channel, wanted) {
    const others = this.#options.channels.filter((each) => each.channel !== channel);
    const options = { ...this.#options, channels: [...others, ...wanted] };
    if (keyOf(options) === keyOf(this.#options)) return;
    this.#options = options;
    this.#picture = this.#picture.without(channel, options.channels);
    if (this.#stay) this.#again();
  }

  #join() {
    const abort = new AbortController();
    const until = abort.signal;
    // Alone, nothing depends on locks: they may be what does not work.
    const env = WAYS[this.#way] === AloneWay ? { ...this.#env, locks: undefined } : this.#env;
    const { id, held } = identify(env, until);
    this.#stay = { id, held, abort };
    /** @type {(run: (given?: any) => void) => (given?: any) => void} */
    const whileHere = (run) => (given) => void (until.aborted || run(given));
    this.#await();
    try {
      this.#stay.way = new WAYS[this.#way]({
        env,
        options: this.#options,
        key: keyOf(this.#options),
        id,
        until,
        receive: whileHere((answer) => this.#receive(answer)),
        fail: whileHere(() => this.#fail()),
        lost: whileHere(() => this.#again()),
        late: () => this.#climb(),
      });
      this.#enter();
    } catch {
      this.#fail();
    }
  }

  /** Join the host, as soon as it can see that this tab lives. */
  #enter() {
    const stay = this.#stay;
    stay?.held.then(() => stay === this.#stay && this.#ask("join"));
  }

  #leave() {
    const stay = this.#stay;
    if (!stay) return;
    this.#send("leave");
    this.#stay = undefined;
    stay.way?.close();
    stay.abort.abort();
    this.#env.clearTimeout(this.#timer);
  }

  /** Join anew, and go on from what is known. */
  #again() {
    this.#leave();
    this.#join();
  }

  #fail() {
    // What has worked is not passed over for an error that came later.
    if (this.#stay?.host) return;
    this.#way = Math.min(this.#way + 1, WAYS.length - 1);
    this.#again();
  }

  /** The first way works after all. */
  #climb() {
    if (!this.#stay || !this.#way) return;
    this.#way = 0;
    this.#again();
  }

  /** @param {string} type */
  #send(type) {
    const { id, way } = /** @type {Stay} */ (this.#stay);
    way?.send({ type, id, visible: this.#visible, ...(type === "join" && { known: this.#picture.known }) });
  }

  /** @param {string} type */
  #ask(type) {
    const stay = /** @type {Stay} */ (this.#stay);
    if (!stay.asked) this.#await();
    stay.asked = true;
    this.#send(type);
  }

  #await() {
    this.#arm(ANSWER_MS, () => {
      if (this.#stay?.host) this.#again();
      else if (this.#stay?.way.insist?.()) this.#await();
      else this.#fail();
    });
  }

  /**
   * @param {number} ms
   * @param {() => void} run
   */
  #arm(ms, run) {
    this.#env.clearTimeout(this.#timer);
    this.#timer = this.#env.setTimeout(run, ms);
  }

  /** @param {import("./ways.js").Answer} answer */
  #receive({ type, from, events }) {
    const stay = /** @type {Stay} */ (this.#stay);
    if (type === "lead") {
      Object.assign(stay, { leader: from, host: undefined, asked: false });
      this.#enter();
      return;
    }
    if (type === "welcome" && !stay.host && from === (stay.leader ?? from)) stay.host = from;
    else if (type === "welcome" || from !== stay.host) return;
    if (stay.asked) this.#arm(ASK_MS, () => this.#ask("ping"));
    stay.asked = false;
    // Whoever is told may close the feed, or want something else.
    for (const event of events) if (stay === this.#stay) this.#tell(event);
  }

  /** @param {SharedEvent} event */
  #tell(event) {
    if (this.#picture.apply(event, this.#env.wall())) this.#emit(event);
  }
}
