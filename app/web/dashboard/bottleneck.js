// @ts-check
/**
 * The line that names the bottleneck, if there is one.
 *
 * @import { Evidence, Finding } from "./findings.js"
 */

import { percent } from "./figures.js";
import { findings, highest } from "./findings.js";
import { byId, say } from "./page.js";

const MOST_OTHERS = 2;
/** By so much another one has to be worse to take the first place. */
const LEAD = 1.5;

/**
 * @typedef {object} Verdict
 * @property {string[]} kinds what is found, the first the bottleneck; empty if there is none
 * @property {string} text
 * @property {string} more
 */

/**
 * Judge what holds the host up. What has been found keeps its place for as long as it is about as
 * bad, so that the line does not change to and fro.
 *
 * @param {Evidence} evidence
 * @param {string[]} [before] the `kinds` of the verdict before this
 * @returns {Verdict}
 */
export function judge(evidence, before = []) {
  const found = findings(evidence).filter(
    ({ kind, severity }) => severity >= (before.includes(kind) ? 0.5 : 1),
  );
  if (!found.length) return { kinds: [], text: "No bottleneck", more: calm(evidence) };
  const held = found.find(({ kind }) => kind === before[0]);
  const first = held && held.severity * LEAD >= found[0].severity ? held : found[0];
  const others = distinct(found, first);
  const more = [first.more, ...others.slice(0, MOST_OTHERS).map(({ text }) => `also: ${text}`)];
  if (others.length > MOST_OTHERS) more.push(`${others.length - MOST_OTHERS} more`);
  const kinds = [first, ...found.filter((each) => each !== first)].map(({ kind }) => kind);
  return { kinds, text: first.text, more: more.filter(Boolean).join(" · ") };
}

/**
 * Those that say something else: that processors are busy goes without saying where work waits for
 * them.
 *
 * @param {Finding[]} found
 * @param {Finding} first
 */
function distinct(found, first) {
  const said = { usage: "cpu", core: "cpu", used: "memory", swap: "memory" };
  const kinds = found.map(({ kind }) => kind);
  return found.filter((each) => {
    const by = said[/** @type {"usage"} */ (each.kind)];
    return each !== first && !(by && kinds.includes(by));
  });
}

/** @param {Evidence} evidence; what is busiest where nothing is too busy */
function calm({ data: { cpu, memory, diskIo } }) {
  const disk = highest(diskIo, ({ busy }) => busy);
  const parts = [
    `processors ${percent(cpu.usage)} busy`,
    `memory ${percent(memory.usage)} used`,
    disk && `busiest disk ${disk.device} ${percent(disk.busy)}`,
  ];
  return parts.filter(Boolean).join(" · ");
}

/** The line on the page. */
export class Bottleneck {
  /** @type {string[]} */
  #kinds = [];

  /** @param {Evidence} evidence */
  show(evidence) {
    const { kinds, text, more } = judge(evidence, this.#kinds);
    this.#kinds = kinds;
    const element = byId("bottleneck");
    element.classList.toggle("found", kinds.length > 0);
    say(/** @type {Element} */ (element.querySelector("strong")), text);
    const rest = /** @type {HTMLElement} */ (element.querySelector("span"));
    say(rest, more);
    element.title = more;
  }
}
