// @ts-check
/**
 * A panel of traffic: one way upwards, the other downwards.
 *
 * @import { Series } from "./series.js"
 * @import { Span } from "./span.js"
 */

import { Chart, range } from "./chart.js";
import { driveTotal, linkTotal } from "./devices.js";
import { duration, rate, size } from "./figures.js";
import { say } from "./page.js";

/**
 * @typedef {object} Traffic
 * @property {string} name
 * @property {[string, string]} ways
 * @property {[(data: any) => number | null, (data: any) => number | null]} values of each way, in
 *   bytes per second
 */

/** Below that a chart would show noise, in bytes per second. */
const LEAST = 64 * 1024;

/** @type {Record<string, Traffic>} by the id of the panel */
export const FLOWS = {
  drives: {
    name: "Disk traffic",
    ways: ["read", "written"],
    values: [
      (data) => driveTotal(data, "readBytesPerSec"),
      (data) => driveTotal(data, "writeBytesPerSec"),
    ],
  },
  links: {
    name: "Network",
    ways: ["received", "sent"],
    values: [
      (data) => linkTotal(data, "rxBytesPerSec"),
      (data) => linkTotal(data, "txBytesPerSec"),
    ],
  },
};

/**
 * The edge of a scale: the next power of two.
 *
 * @param {number} high the highest that is to be on it
 */
export function edgeOf(high) {
  return 2 ** Math.ceil(Math.log2(Math.max(high, LEAST)));
}

/** One panel on the page. */
export class Flow {
  #element;
  #traffic;
  #chart;

  /**
   * @param {HTMLElement} element
   * @param {Traffic} traffic
   */
  constructor(element, traffic) {
    this.#element = element;
    this.#traffic = traffic;
    this.#chart = new Chart(/** @type {Element} */ (element.querySelector(".chart")));
  }

  /**
   * @param {Series} series
   * @param {Span & { end: number }} time
   */
  show(series, time) {
    const { name, ways, values } = this.#traffic;
    const both = /** @type {{ lines: import("./series.js").Point[][], value: (data: any) => number }[]} */ (
      values.map((value) => ({ value, lines: series.lines(value) }))
    );
    const highs = both.map(({ lines, value }) => (lines.length ? range(lines, value).high : 0));
    const max = edgeOf(Math.max(...highs));
    const past = duration(time.span / 1000);
    both.forEach(({ value }, at) => this.#say(`.number.way${at}`, rate(value(series.newest?.data))));
    this.#say(".top", size(max));
    this.#say(".bottom", size(max));
    this.#say(".past", `${past} ago`);
    this.#say(".range", `max ${highs.map(size).join(" · ")}`);
    this.#chart.mirror(both, { ...time, max });
    const said = ways.map((way, at) => `${way} up to ${rate(highs[at])}`).join(", ");
    this.#chart.describe(`${name} over the last ${past}: ${said}`);
  }

  /**
   * @param {string} selector
   * @param {string} text
   */
  #say(selector, text) {
    say(/** @type {Element} */ (this.#element.querySelector(selector)), text);
  }
}
