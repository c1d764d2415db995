// @ts-check
/**
 * Any data as tables and lists of figures: for channels that have no panels of their own.
 *
 * @typedef {{ kind: "leaf", text: string }} Leaf
 * @typedef {{ kind: "list", entries: [string, Plan][] }} List
 * @typedef {{ kind: "table", columns: Column[], rows: Plan[][] }} Table
 * @typedef {{ name: string, figures: boolean }} Column
 * @typedef {Leaf | List | Table} Plan
 */

import { plain } from "./figures.js";
import { say } from "./page.js";

const MOST_ROWS = 100;
const MOST_LEVELS = 6;
const MOST_LETTERS = 200;

/**
 * How to show a value: records as a table, plain values in a row, anything else as a list.
 *
 * @param {unknown} value of JSON
 * @param {number} [levels] how deep to go
 * @returns {Plan}
 */
export function plan(value, levels = MOST_LEVELS) {
  if (!isComposed(value)) return leaf(value);
  const items = Object.values(value);
  if (items.length === 0) return leaf("none");
  if (levels === 0) return leaf("…");
  if (!Array.isArray(value)) return list(value, levels - 1);
  if (!items.some(isComposed)) return row(items);
  return items.every(isRecord) ? table(items, levels - 1) : list(value, levels - 1);
}

/**
 * @param {object} value
 * @param {number} levels
 * @returns {List}
 */
function list(value, levels) {
  const all = Object.entries(value);
  /** @type {[string, Plan][]} */
  const entries = all.slice(0, MOST_ROWS).map(([key, item]) => [words(key), plan(item, levels)]);
  if (all.length > MOST_ROWS) entries.push(["", leaf(`${all.length - MOST_ROWS} more`)]);
  return { kind: "list", entries };
}

/**
 * @param {Record<string, unknown>[]} records
 * @param {number} levels
 * @returns {Table}
 */
function table(records, levels) {
  const shown = records.slice(0, MOST_ROWS);
  const keys = [...new Set(shown.flatMap((record) => Object.keys(record)))];
  /** @type {Plan[][]} */
  const rows = shown.map((record) => keys.map((key) => plan(record[key], levels)));
  if (records.length > MOST_ROWS) rows.push([leaf(`${records.length - MOST_ROWS} more`)]);
  const columns = keys.map((key) => ({
    name: words(key),
    figures: shown.some((record) => typeof record[key] === "number"),
  }));
  return { kind: "table", columns, rows };
}

/** @param {unknown[]} items */
function row(items) {
  const shown = items.slice(0, MOST_ROWS).map(word);
  if (items.length > MOST_ROWS) shown.push(`${items.length - MOST_ROWS} more`);
  return { kind: /** @type {const} */ ("leaf"), text: shown.join(", ") };
}

/**
 * @param {unknown} value
 * @returns {Leaf}
 */
function leaf(value) {
  return { kind: "leaf", text: word(value) };
}

/** @param {unknown} value */
function word(value) {
  if (typeof value === "number") return plain(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  const text = String(value ?? "–");
  return text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS)}…` : text;
}

/**
 * Make words of a key: `loadAvg` becomes "load avg", `readMBps` "read MBps".
 *
 * @param {string} key
 */
function words(key) {
  const apart = key.replace(/([a-z\d])([A-Z])/g, "$1 $2");
  return apart.replace(/ [A-Z](?=[a-z])/g, (initial) => initial.toLowerCase());
}

/**
 * @param {unknown} value
 * @returns {value is object}
 */
function isComposed(value) {
  return typeof value === "object" && value !== null;
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isRecord(value) {
  return isComposed(value) && !Array.isArray(value);
}

/** One value on the page, which changes in place. */
export class Tree {
  #element;
  #shape = "";
  /** @type {HTMLElement[]} where the leaves are */
  #places = [];
  /** @type {Leaf[]} */
  #leaves = [];

  /** @param {HTMLElement} element where to put it */
  constructor(element) {
    this.#element = element;
  }

  /** @param {unknown} value of JSON */
  show(value) {
    const planned = plan(value);
    /** @type {Leaf[]} */
    const leaves = [];
    const shape = JSON.stringify(planned, (_, part) => {
      if (part.kind !== "leaf") return part;
      leaves.push(part);
      return 0;
    });
    if (shape !== this.#shape) {
      this.#shape = shape;
      this.#places = [];
      this.#element.replaceChildren(this.#build(planned));
    }
    // All else stays, so that what somebody has selected or scrolled to does so too.
    leaves.forEach(({ text }, index) => say(this.#places[index], text));
  }

  /**
   * @param {Plan} planned
   * @returns {HTMLElement}
   */
  #build(planned) {
    if (planned.kind === "table") return this.#table(planned);
    if (planned.kind === "list") return this.#list(planned);
    const place = document.createElement("span");
    this.#places.push(place);
    return place;
  }

  /** @param {List} planned */
  #list({ entries }) {
    const rows = entries.map(([name, item]) =>
      element("div", element("dt", name), element("dd", this.#build(item))),
    );
    return element("dl", ...rows);
  }

  /** @param {Table} planned */
  #table({ columns, rows }) {
    const head = element("tr", ...columns.map(({ name }) => element("th", name)));
    const body = rows.map((row) =>
      element("tr", ...row.map((item) => element("td", this.#build(item)))),
    );
    for (const row of [head, ...body]) {
      [...row.children].forEach((cell, at) => cell.classList.toggle("figure", columns[at].figures));
    }
    return element("table", element("thead", head), element("tbody", ...body));
  }
}

/**
 * @param {string} name
 * @param {...(Node | string)} content
 */
function element(name, ...content) {
  const made = document.createElement(name);
  made.append(...content);
  return made;
}
