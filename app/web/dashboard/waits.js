// @ts-check
/**
 * What tasks waited for, as rows: pressure stall information of the kernel.
 *
 * @import { Row } from "./table.js"
 */

import { percent, UNKNOWN } from "./figures.js";

/** From so many percents of the time on a wait is called high. */
const HIGH = { cpu: 25, memory: 5, io: 10, irq: 10 };
const NAMES = { cpu: "Processor", memory: "Memory", io: "Disk", irq: "Interrupts" };

/**
 * One row for each resource, always in the same order; none where the kernel does not count it.
 *
 * @param {any} pressure of `metrics`, may be null
 * @returns {Row[]}
 */
export function waitRows(pressure) {
  const kinds = /** @type {(keyof typeof NAMES)[]} */ (Object.keys(NAMES));
  return kinds.filter((kind) => pressure?.[kind]).map((kind) => {
    const stall = pressure[kind];
    const now = stall.some ?? stall.full;
    const then = stall.some300 ?? stall.full300;
    const title = `some: ${means(stall, "some")}; all: ${means(stall, "full")} (10 s, 1 min, 5 min)`;
    return {
      key: kind,
      high: (now ?? 0) >= HIGH[kind],
      cells: [{ text: NAMES[kind], title }, { share: now ?? 0 }, percent(now), percent(then)],
    };
  });
}

/**
 * @param {any} stall
 * @param {string} name
 */
function means(stall, name) {
  return ["10", "60", "300"].map((seconds) => percent(stall[name + seconds])).join(", ");
}

/**
 * Where the time of the processors went; what is nothing goes unsaid.
 *
 * @param {any} cpu of `metrics`
 */
export function timesOf({ user, system, nice, iowait, irq, softirq, steal }) {
  const interrupts = irq == null && softirq == null ? null : (irq ?? 0) + (softirq ?? 0);
  const parts = { user, system, nice, wait: iowait, interrupts, stolen: steal };
  const said = Object.entries(parts).filter(([, share]) => share != null && share >= 0.5);
  if (Object.values(parts).every((share) => share == null)) return UNKNOWN;
  return said.map(([name, share]) => `${name} ${percent(share)}`).join(" · ") || "idle";
}
