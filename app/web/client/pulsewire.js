// @ts-check
import { Client, DEFAULTS } from "./client.js";
import { surroundings } from "./env.js";
import { Feed } from "./feed.js";
import { SharedFeed } from "./shared.js";
import { TRANSPORTS } from "./transports.js";

/** @typedef {import("./feed.js").Transport} Transport */
/** @typedef {import("./wire.js").Message} Message */
/** @typedef {import("./wire.js").Subscription} Subscription */

/**
 * @typedef {object} Options
 * @property {string} [url] address of the server, may be relative to the page; default: where this
 *   module came from, if a Pulsewire server served it, else the page's own directory
 * @property {string | (string | {channel: string} & Partial<Subscription>)[]} [channels] names, or
 *   a name with its own interval, detail and history; default `metrics`
 * @property {number} [interval] milliseconds between two messages, 1000 to 60000; default 5000
 * @property {string} [detail] `simple`, `standard` (default) or `full`
 * @property {number} [history] past messages to begin with, 0 to 360; default 0
 * @property {Transport[]} [transports] best first; default `websocket`, `sse`, `longpoll`. The
 *   last resort, `polling`, promises neither every message nor gaps
 * @property {string | null} [token] proves to the server who asks
 * @property {boolean} [share] one connection for all tabs that want the same; default true
 * @property {Record<string, string>} [resume] cursors by channel from which to go on
 */

const SERVED_AS = "client/pulsewire.js";

function home() {
  const here = import.meta.url ?? ""; // in a bundle that is no module there is none
  if (here.endsWith(`/${SERVED_AS}`)) return here.slice(0, -SERVED_AS.length);
  return globalThis.document?.baseURI ?? globalThis.location?.href;
}

/**
 * Connect to a Pulsewire server, and stay connected.
 *
 * @param {Options} [options]
 * @param {Partial<import("./env.js").Env>} [given] surroundings other than the browser's
 * @returns {Client}
 * @throws {TypeError} the address is none, or a transport is not known
 */
export function connect(options = {}, given) {
  const { url, channels = "metrics", transports = ["websocket", "sse", "longpoll"], token = null, share = true, resume } = options;
  const { interval = DEFAULTS.interval, detail = DEFAULTS.detail, history = DEFAULTS.history } = options;
  const named = typeof channels === "string" ? channels.split(",") : channels;
  const feedOptions = {
    url: new URL("./", new URL(url ?? "./", home())).href,
    channels: named.map((one) => ({ interval, detail, history, ...(typeof one === "string" ? { channel: one.trim() } : one) })),
    transports,
    token,
    ...(resume && { resume }),
  };
  const unknown = transports.find((name) => !Object.hasOwn(TRANSPORTS, name));
  if (unknown || !transports.length) throw new TypeError(`transports: there is no ${unknown ?? "one"}`);
  const env = surroundings(given);
  const Kind = share ? SharedFeed : Feed;
  return new Client((emit) => new Kind(feedOptions, env, emit), env, { interval, detail, history });
}

export { Client };
