// @ts-check
/**
 * A strip chart: one figure over the last minutes, as paths of an SVG.
 *
 * Its sheet is WIDTH by HEIGHT whatever its size on the screen, so nothing is drawn again when the
 * window changes.
 *
 * @import { Point } from "./series.js"
 */

export const WIDTH = 1000;
export const HEIGHT = 100;

/**
 * What part of time and of the scale is on the sheet.
 *
 * @typedef {object} Frame
 * @property {number} end the right edge, in milliseconds since the epoch
 * @property {number} span width in milliseconds
 * @property {number} max upper edge of the scale; the lower is 0
 * @property {number} [zero] where 0 is on the sheet, from above
 * @property {number} [rise] so far above that is the edge of the scale; below it if negative
 */

/**
 * The outline of lines: SVG path data for themselves, the area below them, and their newest point.
 *
 * A point without neighbours becomes a dot.
 *
 * @param {Point[][]} lines
 * @param {(data: any) => number} value
 * @param {Frame} frame
 */
export function outline(lines, value, { end, span, max, zero = HEIGHT, rise = HEIGHT }) {
  let line = "";
  let area = "";
  let tip = "";
  for (const points of lines) {
    const drawn = points.map(({ at, data }) => {
      const x = WIDTH * (1 - (end - at) / span);
      const y = zero - rise * Math.min(Math.max(value(data) / max, 0), 1);
      return [x.toFixed(1), y.toFixed(1)];
    });
    const path = drawn.map((at) => at.join(" ")).join("L");
    line += `M${path}h0`;
    area += `M${drawn[0][0]} ${zero}L${path}V${zero}Z`;
    tip = `M${drawn[drawn.length - 1].join(" ")}h0`;
  }
  return { line, area, tip };
}

/**
 * The lowest and the highest of a figure; there must be one.
 *
 * @param {Point[][]} lines
 * @param {(data: any) => number} value
 */
export function range(lines, value) {
  const values = lines.flat().map((point) => value(point.data));
  return { low: Math.min(...values), high: Math.max(...values) };
}

/** One chart on the page. */
export class Chart {
  #svg;

  /** @param {Element} svg with paths of the classes `grid`, `limit`, `area`, `line` and `tip` */
  constructor(svg) {
    this.#svg = svg;
  }

  /**
   * @param {Point[][]} lines
   * @param {(data: any) => number} value
   * @param {Frame & { every: number, limit: number }} frame with the distance of the marks of
   *   time, in milliseconds, and a value to be marked unless it is the edge anyway
   */
  draw(lines, value, frame) {
    const limit = frame.limit < frame.max ? `M0 ${HEIGHT * (1 - frame.limit / frame.max)}H${WIDTH}` : "";
    this.#draw({ ...outline(lines, value, frame), grid: grid(frame), limit });
  }

  /**
   * Draw two figures of one scale, one upwards from the middle and the other downwards: they can
   * be told apart without colours.
   *
   * @param {{ lines: Point[][], value: (data: any) => number }[]} both
   * @param {Frame & { every: number }} frame
   */
  mirror(both, frame) {
    const zero = HEIGHT / 2;
    const halves = both.map(({ lines, value }, at) =>
      outline(lines, value, { ...frame, zero, rise: at ? -zero : zero }),
    );
    const joined = (/** @type {"line" | "area" | "tip"} */ name) => halves.map((half) => half[name]).join("");
    this.#draw({ line: joined("line"), area: joined("area"), tip: joined("tip"), grid: grid(frame) });
  }

  /** @param {Record<string, string>} paths by their class */
  #draw(paths) {
    for (const [name, d] of Object.entries(paths)) {
      this.#svg.querySelector(`.${name}`)?.setAttribute("d", d);
    }
  }

  /** @param {string} description what somebody is told who does not see it */
  describe(description) {
    this.#svg.setAttribute("aria-label", description);
  }
}

/** @param {{ span: number, every: number }} frame */
function grid({ span, every }) {
  let path = `M0 0H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT}H${WIDTH}`;
  for (let back = every; back < span; back += every) {
    path += `M${(WIDTH * (1 - back / span)).toFixed(1)} 0V${HEIGHT}`;
  }
  return path;
}
