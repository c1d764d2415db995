// @ts-check
/**
 * Who lives on the host: processes and containers, from the channels of these names.
 *
 * @import { Client } from "../client/client.js"
 * @import { Shown } from "./list.js"
 * @import { Column } from "./table.js"
 */

import { containerRows, containerSummary } from "./containers.js";
import { List } from "./list.js";
import { byId, say } from "./page.js";
import { taskRows, taskSummary } from "./tasks.js";

/** To look at all of them costs the server: not more often, in milliseconds. */
const LEAST_INTERVAL = 5000;

const TRAFFIC = "read from disks and written to them";
/** @type {Record<string, { label: string, columns: Column[] }>} by channel and id of the panel */
const KINDS = {
  processes: {
    label: "Processes that use the host most",
    columns: [
      { name: "name", kind: "name" },
      { name: "user", kind: "word", wide: true },
      { name: "CPU", kind: "figure", sort: "cpu", title: "of one processor: may pass 100 %" },
      { name: "memory", kind: "figure", sort: "memory", title: "resident" },
      { name: "disk", kind: "figure", sort: "io", title: TRAFFIC },
    ],
  },
  containers: {
    label: "Containers",
    columns: [
      { name: "name", kind: "name" },
      { name: "CPU", kind: "figure", title: "of one processor: may pass 100 %" },
      { name: "memory", kind: "figure" },
      { name: "network", kind: "figure", title: "received and sent" },
      { name: "disk", kind: "figure", wide: true, title: TRAFFIC },
    ],
  },
};

/** The two panels. */
export class Tenants {
  #client;
  /** @type {Map<string, List>} */
  #lists;
  /** @type {Set<string>} */
  #followed = new Set();
  /** Channels that have nothing to tell at present. */
  #refused = new Set();
  #sort = "cpu";

  /** @type {Map<string, any>} the newest data of each */
  #data = new Map();

  /** @param {Client} client */
  constructor(client) {
    this.#client = client;
    const sorted = (/** @type {string} */ by) => this.#sortBy(by);
    this.#lists = new Map(
      Object.entries(KINDS).map(([name, { label, columns }]) => {
        const place = /** @type {HTMLElement} */ (byId(name).querySelector(".list"));
        return [name, new List(place, columns, { label, sorted, headed: true })];
      }),
    );
    this.#lists.get("processes")?.sortedBy(this.#sort);
  }

  /** The channels that this is about. */
  get names() {
    return [...this.#lists.keys()];
  }

  /**
   * The panel of what the server has not is not there.
   *
   * @param {string[]} names of the channels that it has now
   */
  offer(names) {
    for (const name of this.names) {
      byId(name).hidden = !names.includes(name) || this.#refused.has(name);
    }
  }

  /**
   * Subscribe to what the server has.
   *
   * @param {string[]} names of the channels that it has now
   * @param {number} interval in milliseconds
   */
  follow(names, interval) {
    for (const name of this.names) {
      const offered = names.includes(name);
      if (offered && !this.#followed.has(name)) this.#subscribe(name, interval);
      else if (!offered && this.#followed.delete(name)) this.#client.unsubscribe(name);
    }
  }

  /** @param {number} interval in milliseconds */
  setInterval(interval) {
    for (const name of this.#followed) this.#subscribe(name, interval);
  }

  /**
   * The newest data of `processes`, if there is any.
   *
   * @returns {any}
   */
  get processes() {
    return this.#data.get("processes");
  }

  /**
   * @param {{ type: string, data: any }} message of any channel
   * @returns {boolean} whether the channel is one of these
   */
  take({ type, data }) {
    if (!this.#followed.has(type)) return false;
    this.#data.set(type, data);
    byId(type).hidden = false;
    if (this.#refused.delete(type)) say(byId("absent"), "");
    this.draw();
    return true;
  }

  /** Show what is new, unless nobody looks. */
  draw() {
    if (document.hidden) return;
    const containers = this.#data.get("containers");
    if (this.processes) {
      this.#show("processes", taskSummary(this.processes), {
        shown: taskRows(this.processes, this.#sort), folded: [], name: "",
      });
    }
    if (containers) {
      const before = this.#lists.get("containers")?.keys ?? [];
      this.#show("containers", containerSummary(containers), containerRows(containers, before));
    }
  }

  /**
   * Nothing to be had from the channel: a word in the footer is enough.
   *
   * @param {string | undefined} name of the channel
   * @param {string} message why
   * @returns {boolean} whether the channel is one of these
   */
  refuse(name = "", message) {
    if (!this.#followed.has(name)) return false;
    byId(name).hidden = true;
    this.#refused.add(name);
    this.#data.delete(name);
    say(byId("absent"), `No ${name}: ${message}`);
    byId("absent").title = message;
    return true;
  }

  /**
   * @param {string} name
   * @param {number} interval
   */
  #subscribe(name, interval) {
    this.#followed.add(name);
    this.#client.subscribe(name, { interval: Math.max(interval, LEAST_INTERVAL), history: 0 });
  }

  /** @param {string} by */
  #sortBy(by) {
    this.#sort = by;
    this.#lists.get("processes")?.sortedBy(by);
    this.draw();
  }

  /**
   * @param {string} name
   * @param {string} summary
   * @param {Shown} shown
   */
  #show(name, summary, shown) {
    this.#lists.get(name)?.show(shown);
    say(/** @type {Element} */ (byId(name).querySelector(".more")), summary);
  }
}
