// @ts-check
import { Wire } from "./wire.js";

/** @typedef {import("./wire.js").End} End */
/** @typedef {import("./wire.js").Host} Host */
/** @typedef {import("./wire.js").Message} Message */
/** @typedef {import("./wire.js").Subscription} Subscription */

/**
 * @param {Host} host
 * @param {string} path
 * @param {Record<string, any>} [query] what is null is left out
 * @param {AbortSignal} [signal]
 * @returns {Promise<Response>}
 */
function get({ env, base, token }, path, query = {}, signal) {
  const url = new URL(path, base);
  for (const [key, value] of Object.entries(query)) if (value !== null) url.searchParams.set(key, value);
  const headers = token ? { Authorization: `Bearer ${token}` } : undefined;
  return env.fetch(url.href, { signal, headers, cache: "no-store" });
}

/**
 * Whether plain HTTP gets through to a server that works.
 *
 * @param {Host} host
 * @param {number} patience in milliseconds
 */
export async function probe(host, patience) {
  const abort = new AbortController();
  const timer = host.env.setTimeout(() => abort.abort(), patience);
  try {
    const response = await get(host, "api/metrics", {}, abort.signal);
    return response.ok && (await response.json()).type === "metrics";
  } catch {
    return false;
  } finally {
    host.env.clearTimeout(timer);
  }
}

/**
 * @param {Response} response that is not what was asked for
 * @returns {Promise<End>}
 */
async function refusal(response) {
  const { status } = response;
  const body = await response.json().catch(() => null);
  const seconds = Number(response.headers.get("Retry-After"));
  return {
    error: body?.message ?? `unexpected answer (HTTP ${status})`,
    ...(body?.type === "error" && { spoken: true, said: body }),
    final: status === 204,
    ...(seconds > 0 && { afterMs: seconds * 1000 }),
  };
}

/** A wire of plain requests. */
export class HttpWire extends Wire {
  #abort = new AbortController();

  open() {
    this.run().catch((/** @type {any} */ fault) =>
      this.end("error" in fault ? fault : { error: String(fault) }),
    );
  }

  /** Do what the transport does; what is thrown ends it. */
  async run() {}

  stop() {
    this.#abort.abort();
  }

  /**
   * @param {string} path
   * @param {Record<string, any>} [query]
   * @returns {Promise<Response>} of the right kind, else an `End` is thrown
   */
  async get(path, query) {
    const response = await get(this.host, path, query, this.#abort.signal);
    const type = path.endsWith("sse") ? "text/event-stream" : "application/json";
    if (response.status === 200 && response.headers.get("Content-Type")?.startsWith(type)) return response;
    throw await refusal(response);
  }

  /** @param {Subscription[]} wanted */
  query(wanted) {
    const channels = wanted.map(({ channel, interval, detail }) => `${channel}:${interval}:${detail}`);
    return {
      channels: channels.join(),
      history: Math.max(...wanted.map(({ history }) => history)) || null,
      since: this.host.cursors.lowest(wanted.map(({ channel }) => channel)),
    };
  }

  /**
   * Poll once.
   *
   * @param {Subscription[]} wanted
   * @param {number} wait seconds
   * @returns {Promise<Message>} the batch; its cursor is null if that says nothing new
   */
  async poll(wanted, wait) {
    const query = this.query(wanted);
    const batch = await (await this.get("api/poll", { ...query, wait })).json();
    this.liveness.heard();
    const cursor = batch.cursor === query.since ? null : batch.cursor;
    return { ...batch, cursor, channels: wanted.map(({ channel }) => channel) };
  }

  /** @param {Message} batch */
  unpack(batch) {
    for (const message of batch.messages) this.take(message);
    this.take(batch);
  }

  /** One `since` serves all channels, so those that have none yet are fetched on their own. */
  async prime() {
    const wanted = this.host.wanted();
    const fresh = wanted.filter(({ channel }) => !this.host.cursors.get(channel));
    this.anchored = wanted.length > fresh.length;
    if (fresh.length && this.anchored) this.unpack(await this.poll(fresh, 0));
  }

  /** @param {number} ms */
  pause(ms) {
    return new Promise((resolve) => this.host.env.setTimeout(() => resolve(undefined), ms));
  }
}
