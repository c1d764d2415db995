// @ts-check
/**
 * A table whose rows have names: what changes, changes in place; what moves, moves as it is.
 *
 * All texts may come from programs and people of the machine, so they are only ever set as text.
 *
 * @typedef {{ text?: string, title?: string, share?: number, quiet?: string }} Cell a text, a bar of
 *   that many percents, or a text with something less important behind it
 * @typedef {{ key: string, cells: (Cell | string)[], high?: boolean }} Row
 * @typedef {{ name: string, kind?: "name" | "bar" | "figure" | "word", sort?: string, title?: string, wide?: boolean }} Column
 *   `sort` is by what a click on it sorts; a `wide` one is only there where there is room
 */

import { say } from "./page.js";

const SVG = "http://www.w3.org/2000/svg";

/** One table on the page. */
export class Table {
  #columns;
  #body = document.createElement("tbody");
  /** @type {Map<string, HTMLTableRowElement>} */
  #rows = new Map();
  /** @type {HTMLTableCellElement[]} */
  #heads;

  /**
   * @param {HTMLElement} place
   * @param {Column[]} columns the first names the row
   * @param {{ label: string, headed?: boolean, sorted?: (by: string) => void }} options what the table
   *   is called, whether its columns need names to be understood, who is told of a click
   */
  constructor(place, columns, { label, headed = false, sorted = () => {} }) {
    this.#columns = columns;
    this.#heads = columns.map((column) => head(column, headed, sorted));
    const table = document.createElement("table");
    const top = table.createTHead();
    const row = top.insertRow();
    row.append(...this.#heads);
    // Who does not see the figures is told what they are all the same.
    top.classList.toggle("bare", !headed);
    table.setAttribute("aria-label", label);
    table.append(this.#body);
    place.append(table);
  }

  /** The names of the rows, in their order. */
  get keys() {
    return [...this.#rows.keys()];
  }

  /** @param {string} by the `sort` of a column */
  sortedBy(by) {
    this.#columns.forEach(({ sort }, at) => {
      if (sort) this.#heads[at].setAttribute("aria-sort", sort === by ? "descending" : "none");
    });
  }

  /** @param {Row[]} rows in order */
  show(rows) {
    const before = this.#rows;
    this.#rows = new Map(rows.map(({ key }) => [key, before.get(key) ?? this.#make()]));
    for (const [key, element] of before) if (!this.#rows.has(key)) element.remove();
    rows.forEach(({ key, cells, high }, at) => {
      const element = /** @type {HTMLTableRowElement} */ (this.#rows.get(key));
      const there = this.#body.rows[at];
      if (there !== element) this.#body.insertBefore(element, there ?? null);
      element.classList.toggle("high", Boolean(high));
      cells.forEach((cell, column) => fill(element.cells[column], cell));
    });
  }

  #make() {
    const row = document.createElement("tr");
    this.#columns.forEach(({ kind, wide }, at) => {
      const cell = document.createElement(at ? "td" : "th");
      if (!at) /** @type {HTMLTableCellElement} */ (cell).scope = "row";
      dress(cell, kind, wide);
      if (kind === "bar") cell.append(bar());
      else cell.append(document.createElement("span"), document.createElement("small"));
      row.append(cell);
    });
    return row;
  }
}

/**
 * @param {Column} column
 * @param {boolean} headed
 * @param {(by: string) => void} sorted
 */
function head({ name, kind, sort, title, wide }, headed, sorted) {
  const cell = document.createElement("th");
  cell.scope = "col";
  dress(cell, kind, wide);
  if (!sort) {
    const text = document.createElement("span");
    text.textContent = name;
    text.classList.toggle("unseen", !headed);
    cell.append(text);
    return cell;
  }
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = name;
  button.title = title ?? "";
  button.addEventListener("click", () => sorted(sort));
  cell.append(button);
  return cell;
}

/**
 * @param {Element} cell
 * @param {string} [kind]
 * @param {boolean} [wide]
 */
function dress(cell, kind = "word", wide = false) {
  cell.classList.add(kind);
  cell.classList.toggle("wide", wide);
}

function bar() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 1");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const part = document.createElementNS(SVG, "path");
  svg.append(part);
  return svg;
}

/**
 * @param {HTMLTableCellElement} element
 * @param {Cell | string} cell
 */
function fill(element, cell) {
  const { text = "", title = "", share, quiet = "" } = typeof cell === "string" ? { text: cell } : cell;
  if (share !== undefined) {
    const width = Math.min(Math.max(share, 0), 100).toFixed(1);
    element.querySelector("path")?.setAttribute("d", `M0 0H${width}V1H0Z`);
    return;
  }
  const [main, small] = element.children;
  say(main, text);
  say(small, quiet);
  if (element.title !== title) element.title = title;
}
