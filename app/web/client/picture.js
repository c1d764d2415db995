// @ts-check
/** What is known of a feed: enough to paint a new tab, and to go on where another one stopped. */

import { beyond } from "./cursors.js";

/** @typedef {import("./wire.js").Message} Message */
/** @typedef {import("./wire.js").Subscription} Subscription */
/** @typedef {import("./feed.js").FeedEvent & {age?: number}} SharedEvent `age` in ms, if not new */
/**
 * @typedef {object} Known it may be sent to another tab
 * @property {Record<string, SharedEvent>} latest by kind: what stands until there is another
 * @property {Record<string, Message[]>} kept by channel: data messages and gaps, and an error that nothing followed
 * @property {Record<string, number>} times by channel: when the newest came, by the machine's
 *   clock, as tabs have no other in common
 * @property {Record<string, string>} cursors by channel: where it began, if not at the present
 */

// Enough for a tab that comes late to a takeover, also where no history is wanted.
const KEPT = 30;
const KINDS = /** @type {const} */ (["gap", "history", "error"]);

/**
 * @param {Message} message
 * @param {number} age
 * @returns {SharedEvent}
 */
const eventOf = (message, age) => ({ kind: KINDS.find((kind) => kind === message.type) ?? "message", message, age });

/** The events of one feed, as far as they still matter. */
export class Picture {
  /** @type {Known} */
  known;
  #channels;

  /**
   * @param {Subscription[]} channels
   * @param {Partial<Known>} [known] of what another picture knew, how far it has come
   */
  constructor(channels, { kept, times, cursors } = {}) {
    this.#channels = channels;
    this.known = { latest: {}, kept: {}, times: { ...times }, cursors: { ...cursors } };
    for (const { channel } of channels) this.known.kept[channel] = [...(kept?.[channel] ?? [])];
  }

  /** @returns {Record<string, string>} how far each channel has come, if anywhere */
  get cursors() {
    const { kept, cursors } = this.known;
    const all = Object.keys(kept).map((channel) => [channel, this.#newest(channel)?.cursor ?? cursors[channel]]);
    return Object.fromEntries(all.filter(([, cursor]) => cursor));
  }

  /**
   * Take an event in.
   *
   * @param {SharedEvent} event
   * @param {number} now milliseconds since the epoch
   * @returns {boolean} whether it is news
   */
  apply(event, now) {
    const { latest, kept, times } = this.known;
    if (!("message" in event)) {
      const before = JSON.stringify(latest[event.kind]);
      latest[event.kind] = event;
      return JSON.stringify(event) !== before;
    }
    const { type, channel = type, cursor, items } = event.message;
    const wanted = this.#channels.find((each) => each.channel === channel);
    if (!wanted) return true;
    if (event.kind === "message") {
      if (!beyond(cursor, this.#newest(channel)?.cursor)) return false;
      times[channel] = now - (event.age ?? 0);
    }
    const before = kept[channel].filter((each) => each.type !== "error");
    const all = event.kind === "history" ? items : [...before, event.message];
    kept[channel] = all.slice(-Math.max(KEPT, wanted.history) - 1);
    return true;
  }

  /**
   * Bring another picture up to date.
   *
   * @param {Record<string, string>} cursors how far that one has come
   * @param {number} now milliseconds since the epoch
   * @returns {SharedEvent[]} what it lacks
   */
  since(cursors, now) {
    const lacks = this.#channels.flatMap((wanted) => {
      const age = now - this.known.times[wanted.channel];
      return this.#after(wanted, cursors[wanted.channel]).map((message) => eventOf(message, age));
    });
    return [...Object.values(this.known.latest), ...lacks];
  }

  /**
   * The same without what it knew of a channel.
   *
   * @param {string} channel
   * @param {Subscription[]} channels that are wanted from now on
   */
  without(channel, channels) {
    const { latest, kept, times, cursors } = this.known;
    const { [channel]: begin, ...others } = cursors;
    const picture = new Picture(channels, { kept: { ...kept, [channel]: [] }, times, cursors: others });
    picture.known.latest = latest;
    return picture;
  }

  /**
   * @param {string} channel
   * @returns {Message | undefined} its newest data message
   */
  #newest(channel) {
    return this.known.kept[channel].filter(({ cursor }) => cursor).at(-1);
  }

  /**
   * @param {Subscription} wanted
   * @param {string} [cursor]
   * @returns {Message[]}
   */
  #after({ channel, history }, cursor) {
    const kept = this.known.kept[channel];
    const newest = this.#newest(channel);
    const has = (/** @type {Message} */ message) => cursor && message.cursor && !beyond(message.cursor, cursor);
    let begin = kept.length;
    while (begin && !has(kept[begin - 1])) begin -= 1;
    if (begin || !newest) return kept.slice(begin);
    // It has come to nothing of what was kept.
    const at = kept.lastIndexOf(newest);
    const { timestamp, cursor: to } = newest;
    const items = history ? kept.slice(0, at).slice(-history) : [];
    const gap = { type: "gap", timestamp, channel, reason: "too_old", from: cursor, to, missed: null };
    const past = { type: "history", timestamp, channel, items };
    return [...(cursor ? [gap] : []), ...(items.length ? [past] : []), ...kept.slice(at)];
  }
}
