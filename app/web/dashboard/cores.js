// @ts-check
/** A strip with a bar for each processor, however many there are: one path for all of them. */

import { plain } from "./figures.js";

/** More do not fit beside each other. */
const IN_A_ROW = 64;
/** From that on a core is called busy, in percent. */
const BUSY = 90;
const UNIT = 100;
/** Height of the mark that an idle one has, and one that is offline has not. */
const FLOOR = 4;

/**
 * The strip as SVG path data: bars in rows of equal length.
 *
 * @param {(number | null)[]} cores busy shares, null for one that is offline
 */
export function strip(cores) {
  const rows = Math.max(1, Math.ceil(cores.length / IN_A_ROW));
  const length = Math.max(1, Math.ceil(cores.length / rows));
  // Few are apart from each other, many need the room.
  const width = length > 32 ? 0.8 : 0.9;
  let calm = "";
  let busy = "";
  cores.forEach((share, core) => {
    if (share === null) return;
    const x = (core % length) + (1 - width) / 2;
    const bottom = UNIT * (Math.floor(core / length) + 1);
    const height = Math.max(FLOOR, Math.min(share, 100) * 0.94);
    const bar = `M${+x.toFixed(2)} ${bottom}v${-height.toFixed(0)}h${width}V${bottom}Z`;
    if (share >= BUSY) busy += bar;
    else calm += bar;
  });
  return { calm, busy, box: `0 0 ${length} ${rows * UNIT}` };
}

/**
 * The strip in words.
 *
 * @param {(number | null)[]} cores
 */
export function stripText(cores) {
  const known = /** @type {number[]} */ (cores.filter((share) => share !== null));
  if (!known.length) return "Cores: not known";
  const busy = known.filter((share) => share >= BUSY).length;
  const offline = cores.length - known.length;
  const text = `${known.length} ${known.length === 1 ? "core" : "cores"}, the busiest ${plain(Math.round(Math.max(...known)))} %`;
  return [text, busy && `${busy} of them busy`, offline && `${offline} offline`].filter(Boolean).join(", ");
}

/** The strip on the page. */
export class Cores {
  #svg;

  /** @param {Element} svg with paths of the classes `calm` and `busy` */
  constructor(svg) {
    this.#svg = svg;
  }

  /** @param {(number | null)[]} cores */
  show(cores) {
    const { calm, busy, box } = strip(cores);
    this.#svg.setAttribute("viewBox", box);
    this.#svg.setAttribute("aria-label", stripText(cores));
    this.#svg.querySelector(".calm")?.setAttribute("d", calm);
    this.#svg.querySelector(".busy")?.setAttribute("d", busy);
  }
}
