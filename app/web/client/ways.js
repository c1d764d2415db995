// @ts-check
/** The ways to a host that tabs share, and one for a tab that finds none. */

import { Host, watch } from "./host.js";

/** @typedef {import("./host.js").Request} Request */
/**
 * What a host says, to those tabs that are named or else to all; `lead` of one that has just begun.
 *
 * @typedef {{type: string, from: string, to?: string[], events: import("./picture.js").SharedEvent[]}} Answer
 */
/**
 * One stay of a tab with a host, as far as a way needs it.
 *
 * @typedef {object} Stay
 * @property {any} env
 * @property {any} options of the feed
 * @property {string} key what tabs that share it have in common
 * @property {string} id of this tab in this stay
 * @property {AbortSignal} until the end of it
 * @property {(answer: Answer) => void} receive
 * @property {() => void} fail this way does not work
 * @property {() => void} lost the host is gone
 * @property {() => void} late this way works after all; the only one that may be called after the end
 */

/** To a worker that all tabs share. */
export class WorkerWay {
  #stay;
  #port;
  #answered = false;

  /** @param {Stay} stay */
  constructor(stay) {
    this.#stay = stay;
    const worker = stay.env.worker();
    worker.onerror = stay.fail;
    this.#port = worker.port;
    this.#port.onmessage = (/** @type {MessageEvent<Answer>} */ { data }) => {
      // It lives in the process of one of the tabs, and dies with that one without a word.
      if (data.type === "welcome") watch(stay.env, data.from, stay.lost, stay.until);
      this.#answered = true;
      stay.receive(data);
    };
  }

  /** @param {Request} request */
  send(request) {
    const { key, options } = this.#stay;
    this.#port.postMessage({ ...request, key, options });
  }

  close() {
    // One that was slow to start is better late than never: others may share it.
    this.#port.onmessage = this.#stay.late;
    if (this.#answered) this.#port.close();
  }
}

/** To the tab that holds the lock; the next in the queue has it as soon as that one is gone. */
export class ElectionWay {
  #stay;
  #channel;
  /** @type {Host | undefined} where this tab leads */
  #host;
  #forced = false;

  /** @param {Stay} stay */
  constructor(stay) {
    this.#stay = stay;
    this.#stand({ signal: stay.until });
    this.#channel = new stay.env.BroadcastChannel(stay.key);
    this.#channel.onmessage = (/** @type {MessageEvent} */ { data }) => {
      if (data.from) this.#receive(data);
      else this.#host?.receive(data);
    };
  }

  /** @param {Request} request */
  send(request) {
    if (this.#host) this.#host.receive(request);
    else this.#channel.postMessage(request);
  }

  /** The leader does not answer: a page that sleeps keeps its lock. @returns {boolean} done */
  insist() {
    const first = !this.#forced;
    this.#forced = true;
    if (first) this.#stand({ steal: true });
    return first;
  }

  close() {
    this.#host?.close();
    this.#channel.close();
  }

  /** @param {LockOptions} how */
  #stand(how) {
    const { env, key, lost, fail } = this.#stay;
    env.locks.request(key, how, () => this.#lead()).catch(() => (this.#host ? lost() : fail()));
  }

  /** @returns {Promise<unknown> | undefined} pending as long as it leads */
  #lead() {
    const { env, options, until } = this.#stay;
    if (until.aborted) return undefined;
    this.#host = new Host(options, env, (answer, to) => this.#post({ ...answer, to: to.map(({ id }) => id) }));
    this.#post({ type: "lead", events: [] });
    return new Promise((end) => until.addEventListener("abort", end));
  }

  /** @param {Omit<Answer, "from">} answer */
  #post(answer) {
    const { id } = this.#stay;
    const sent = { ...answer, from: id };
    if (answer.to?.join() !== id) this.#channel.postMessage(sent);
    this.#receive(sent);
  }

  /** @param {Answer} answer */
  #receive(answer) {
    if (!answer.to || answer.to.includes(this.#stay.id)) this.#stay.receive(answer);
  }
}

/** To a host of one's own. */
export class AloneWay {
  #host;

  /** @param {Stay} stay */
  constructor({ env, options, id, receive }) {
    this.#host = new Host(options, env, (answer) => receive({ ...answer, from: id }));
  }

  /** @param {Request} request */
  send(request) {
    this.#host.receive(request);
  }

  close() {
    this.#host.close();
  }
}
