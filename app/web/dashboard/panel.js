// @ts-check
/**
 * A panel: a figure as a number, and the way that it has gone.
 *
 * @import { Metric } from "./metrics.js"
 * @import { Point } from "./series.js"
 * @import { Span } from "./span.js"
 */

import { Chart, range } from "./chart.js";
import { duration, plain } from "./figures.js";
import { say } from "./page.js";

/** From this part of its limit on a figure is called high. */
const HIGH = 0.9;

/** One panel on the page. */
export class Panel {
  #element;
  #metric;
  #chart;

  /**
   * @param {HTMLElement} element
   * @param {Metric} metric
   */
  constructor(element, metric) {
    this.#element = element;
    this.#metric = metric;
    this.#chart = new Chart(/** @type {Element} */ (element.querySelector(".chart")));
  }

  /**
   * @param {Point[][]} lines with the newest point as the last
   * @param {Span & { end: number }} time
   */
  show(lines, time) {
    const { name, value, limit, text, unit, more } = this.#metric;
    const { data } = lines[lines.length - 1].slice(-1)[0];
    const full = limit(data);
    const high = value(data) >= HIGH * full;
    this.#say("number", text(value(data)));
    this.#say("unit", unit(data));
    this.#say("more", more(data));
    this.#say("alarm", high ? "high" : "");
    this.#element.classList.toggle("high", high);

    const seen = range(lines, value);
    // Load may exceed the cores: the scale is doubled until all of it is on the sheet.
    const max = full * 2 ** Math.max(0, Math.ceil(Math.log2(seen.high / full)));
    const past = duration(time.span / 1000);
    this.#say("top", plain(max));
    this.#say("middle", plain(max / 2));
    this.#say("past", `${past} ago`);
    this.#say("range", `min ${text(seen.low)} · max ${text(seen.high)}`);
    this.#chart.draw(lines, value, { ...time, max, limit: full });
    this.#chart.describe(`${name} over the last ${past}: ${text(seen.low)} to ${text(seen.high)} ${unit(data)}`);
  }

  /**
   * @param {string} name
   * @param {string} text
   */
  #say(name, text) {
    say(/** @type {Element} */ (this.#element.querySelector(`.${name}`)), text);
  }
}
