// @ts-check
/**
 * A list of a panel: what is worth a look, and the rest behind a fold.
 *
 * @import { Column, Row } from "./table.js"
 *
 * @typedef {{ shown: Row[], folded: Row[], name: string }} Shown `name` is that of the fold; there
 *   is none if nothing is folded
 */

import { say } from "./page.js";
import { Table } from "./table.js";

/** One list on the page. */
export class List {
  #top;
  #rest;
  #details = document.createElement("details");
  #summary = document.createElement("summary");

  /**
   * @param {HTMLElement} place
   * @param {Column[]} columns
   * @param {{ label: string, headed?: boolean, sorted?: (by: string) => void }} options see `Table`
   */
  constructor(place, columns, options) {
    this.#top = new Table(place, columns, options);
    this.#details.append(this.#summary);
    const plain = columns.map(({ sort, ...column }) => column);
    this.#rest = new Table(this.#details, plain, { label: `${options.label}, the rest` });
    place.append(this.#details);
  }

  /** The names of the rows, in their order. */
  get keys() {
    return [...this.#top.keys, ...this.#rest.keys];
  }

  /** @param {string} by the `sort` of a column */
  sortedBy(by) {
    this.#top.sortedBy(by);
  }

  /** @param {Shown} shown */
  show({ shown, folded, name }) {
    this.#top.show(shown);
    this.#rest.show(folded);
    say(this.#summary, name);
    // It keeps its place, so that nothing below it jumps.
    this.#details.classList.toggle("empty", !folded.length);
  }
}
