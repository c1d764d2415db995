// @ts-check
/**
 * Channels that the server has beside `metrics`: a section for each, whatever its data is.
 *
 * @import { Client } from "../client/client.js"
 */

import { byId, say } from "./page.js";
import { Tree } from "./tree.js";

/** All sections of further channels. */
export class Channels {
  #client;
  /** @type {Map<string, Section>} */
  #sections = new Map();

  /** @param {Client} client */
  constructor(client) {
    this.#client = client;
  }

  /**
   * Subscribe to what the server has and show it.
   *
   * @param {string[]} names of the channels that it has now
   * @param {number} interval in milliseconds
   */
  follow(names, interval) {
    for (const name of names) {
      if (this.#sections.has(name)) continue;
      this.#sections.set(name, new Section(name));
      this.#client.subscribe(name, { interval });
    }
    for (const [name, section] of this.#sections) {
      if (names.includes(name)) continue;
      section.remove();
      this.#sections.delete(name);
      this.#client.unsubscribe(name);
    }
  }

  /** @param {number} interval in milliseconds */
  setInterval(interval) {
    for (const name of this.#sections.keys()) this.#client.subscribe(name, { interval });
  }

  /** @param {{ type: string, data: unknown }} message of any channel */
  show({ type, data }) {
    this.#sections.get(type)?.show(data);
  }

  /**
   * @param {string | undefined} name of the channel
   * @param {string} message what is wrong with it
   * @returns {boolean} whether the channel is one of these
   */
  refuse(name = "", message) {
    this.#sections.get(name)?.refuse(message);
    return this.#sections.has(name);
  }
}

/** The section of one channel. */
class Section {
  #element = document.createElement("section");
  #note = document.createElement("p");
  #tree;

  /** @param {string} name */
  constructor(name) {
    const heading = document.createElement("h2");
    const content = document.createElement("div");
    heading.textContent = name;
    heading.id = `channel-${name}`;
    content.className = "tree";
    // Wide tables scroll by themselves, by keyboard as well.
    content.tabIndex = 0;
    content.setAttribute("role", "group");
    for (const element of [this.#element, content]) {
      element.setAttribute("aria-labelledby", heading.id);
    }
    this.#element.className = "panel channel";
    this.#note.className = "more";
    this.#note.textContent = "no data yet";
    this.#element.append(heading, this.#note, content);
    this.#tree = new Tree(content);
    byId("channels").append(this.#element);
  }

  /** @param {unknown} data */
  show(data) {
    say(this.#note, "");
    this.#tree.show(data);
  }

  /** @param {string} message */
  refuse(message) {
    say(this.#note, message);
  }

  remove() {
    this.#element.remove();
  }
}
