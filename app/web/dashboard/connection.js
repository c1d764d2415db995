// @ts-check
/**
 * How the page says what its connection is like.
 *
 * @import { Client } from "../client/client.js"
 */

import { age } from "./figures.js";
import { byId, say } from "./page.js";

/** What comes and goes within that many milliseconds is not announced. */
const SETTLED_MS = 2000;

const LIVE = "Live";
const TRANSPORTS = {
  websocket: "WebSocket",
  sse: "SSE",
  longpoll: "long-poll",
  polling: "polling",
};

/**
 * Whether the next data should have been there: the server takes its time, and so does the way.
 *
 * @param {number | null} age in milliseconds
 * @param {number} interval in milliseconds
 */
export function isLate(age, interval) {
  return age !== null && age > 1.5 * interval + 1000;
}

/**
 * The state in a word or two: the client's own, and whether data comes as it should.
 *
 * @param {Client["status"]} status
 * @param {number | null} age of the data, in milliseconds
 * @param {number} interval in milliseconds
 */
export function stateOf(status, age, interval) {
  if (status !== "connected") return status[0].toUpperCase() + status.slice(1);
  if (age === null) return "Waiting for data";
  return isLate(age, interval) ? "Data is late" : LIVE;
}

/** The part of the page that tells of the connection. */
export class Connection {
  #client;
  #announcement = 0;

  /** What the server says is wrong with the figures, until they come again; empty if nothing. */
  refusal = "";

  /** @param {Client} client */
  constructor(client) {
    this.#client = client;
  }

  /**
   * Show it as it is now.
   *
   * @param {number | null} ageMs of the data
   * @param {number} interval in milliseconds
   */
  show(ageMs, interval) {
    const { status, transport, error } = this.#client;
    const state = stateOf(status, ageMs, interval);
    const live = state === LIVE;
    const changed = byId("state").textContent !== state;
    document.body.classList.toggle("live", live);
    say(byId("state"), state);
    say(byId("transport"), transport ? TRANSPORTS[transport] : "no connection");
    say(byId("age"), age(ageMs));
    const note = this.refusal || (live ? "" : (error ?? ""));
    say(byId("note"), note);
    byId("note").hidden = !note;
    if (changed) this.#announce();
  }

  #announce() {
    clearTimeout(this.#announcement);
    this.#announcement = setTimeout(() => {
      const text = [byId("state"), byId("note")].map((part) => part.textContent).join(" ");
      say(byId("announcement"), text);
    }, SETTLED_MS);
  }
}
