// @ts-check
/** Serves one feed to the tabs that share it: in a worker, in the leading tab, or in a tab alone. */

import { Feed } from "./feed.js";
import { Picture } from "./picture.js";

/** @typedef {import("./picture.js").SharedEvent} SharedEvent */
/** @typedef {import("./picture.js").Known} Known */
/**
 * What a tab says: `join`, `leave`, `ping` (is the host there?) or `check` (so is the server?).
 *
 * @typedef {object} Request
 * @property {string} type
 * @property {string} id of the tab
 * @property {boolean} visible
 * @property {Known} [known] what a tab that joins knows, maybe from a host that died
 * @property {string} [key] to a worker: what tabs that share a feed have in common
 * @property {any} [options] to a worker: those of the feed
 */
/**
 * What a host says: `welcome` to a tab that joined, else `news`.
 *
 * @typedef {{type: string, events: SharedEvent[]}} Answer
 */
/** @typedef {{id: string, port?: MessagePort, visible: boolean, heardAt: number}} Member */

// Browsers run the timers of a hidden tab only once a minute: silence for less means nothing.
const SILENT_MS = 150_000;

/**
 * Make a name for a tab or a worker, and hold the lock by which others see that it lives.
 *
 * @param {any} env
 * @param {AbortSignal} [until]
 * @returns {{id: string, held: Promise<void>}} settled once the lock is held, or cannot be
 */
export function identify({ locks, random }, until) {
  const id = `pulsewire ${random().toString(36).slice(2)}`;
  /** @type {Promise<void>} */
  const held = new Promise((resolve) => {
    const live = () => {
      resolve();
      return new Promise((end) => until?.addEventListener("abort", end));
    };
    if (locks) locks.request(id, { signal: until }, live).catch(() => resolve());
    else resolve();
  });
  return { id, held };
}

/**
 * Call `died` when whoever has this name lives no more, if it has a lock by which one can see that.
 *
 * @param {any} env
 * @param {string} id
 * @param {() => void} died
 * @param {AbortSignal} [until]
 */
export function watch({ locks }, id, died, until) {
  const wait = (/** @type {LockManagerSnapshot} */ { held = [] }) =>
    held.some(({ name }) => name === id) && locks.request(id, { mode: "shared", signal: until }, died);
  locks?.query().then(wait).catch(() => {});
}

/** One feed, and the tabs that take part in it. */
export class Host {
  #options;
  #env;
  #post;
  /** @type {Feed | undefined} */
  #feed;
  #picture = new Picture([]);
  /** @type {Map<string, Member>} */
  #members = new Map();
  /** @type {boolean | undefined} */
  #visible;

  /**
   * @param {any} options of the feed
   * @param {any} env
   * @param {(answer: Answer, to: Member[]) => void} post keeps the order
   */
  constructor(options, env, post) {
    this.#options = options;
    this.#env = env;
    this.#post = post;
  }

  /**
   * @param {Request} request from a stranger it goes unanswered, so that the tab joins again
   * @param {MessagePort} [port] by which it came
   */
  receive({ type, id, visible, known }, port) {
    const stranger = !this.#members.has(id);
    if (type === "leave") return this.leave(id);
    if (type !== "join" && stranger) return;
    const member = { id, port, visible, heardAt: this.#env.now() };
    this.#members.set(id, member);
    if (stranger) watch(this.#env, id, () => this.leave(id));
    if (type === "join") this.#welcome(member, known);
    else this.#post({ type: "news", events: [] }, [member]);
    if (type === "check") this.#feed?.check();
    this.#look();
  }

  /** @param {string} id of a tab that is gone; the feed ends with the last one */
  leave(id) {
    if (this.#members.delete(id)) this.#members.size ? this.#look() : this.close();
  }

  /** Let go of tabs that died without a word. */
  sweep() {
    const limit = this.#env.now() - SILENT_MS;
    for (const [id, { heardAt }] of this.#members) if (heardAt < limit) this.leave(id);
  }

  /** End the feed; the next tab that joins begins another. */
  close() {
    const feed = this.#feed;
    this.#feed = undefined;
    this.#picture = new Picture([]);
    feed?.close();
  }

  /**
   * @param {Member} member
   * @param {Known} [known]
   */
  #welcome(member, known) {
    const theirs = new Picture(this.#options.channels, known);
    const { cursors } = theirs; // as of now: the picture may become that of the feed
    const isBlank = !Object.keys(this.#picture.cursors).length;
    // A feed that has brought nothing yet may as well begin where this tab stopped.
    if (!this.#feed || (isBlank && Object.keys(cursors).length)) this.#begin(theirs);
    const events = this.#picture.since(cursors, this.#env.wall());
    this.#post({ type: "welcome", events }, [member]);
  }

  /** @param {Picture} picture of the stream that goes on */
  #begin(picture) {
    const before = this.#feed;
    this.#picture = picture;
    this.#visible = undefined;
    before?.close();
    const options = { ...this.#options, resume: picture.cursors };
    this.#feed = new Feed(options, this.#env, (/** @type {SharedEvent} */ event) => {
      const isNews = picture === this.#picture && picture.apply(event, this.#env.wall());
      if (isNews) this.#post({ type: "news", events: [event] }, [...this.#members.values()]);
    });
    this.#feed.start();
  }

  /** Tell the feed whether anybody looks. */
  #look() {
    const visible = [...this.#members.values()].some((member) => member.visible);
    if (visible !== this.#visible) this.#feed?.visible(visible);
    this.#visible = visible;
  }
}

/** The hosts of one worker. */
export class Hosts {
  #env;
  #me;
  /** @type {Map<string, Host>} */
  #all = new Map();

  /** @param {any} env */
  constructor(env) {
    this.#env = env;
    this.#me = identify(env);
  }

  /**
   * @param {Request} request
   * @param {MessagePort} port by which the answer goes
   */
  async receive(request, port) {
    const { id: from, held } = this.#me;
    // A tab that is answered looks at once whether the worker lives.
    await held;
    for (const host of this.#all.values()) host.sweep();
    const key = String(request.key);
    const post = (/** @type {Answer} */ answer, /** @type {Member[]} */ to) => {
      for (const member of to) member.port?.postMessage({ ...answer, from });
    };
    const host = this.#all.get(key) ?? new Host(request.options, this.#env, post);
    this.#all.set(key, host);
    host.receive(request, port);
  }
}
