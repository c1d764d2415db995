// @ts-check
/**
 * What the container engine runs, as rows.
 *
 * @import { Shown } from "./list.js"
 */

import { sum } from "./devices.js";
import { fine, plain, rate, size } from "./figures.js";
import { fold, foldName, ranked } from "./order.js";

const MOST = 7;
const HIGH = 90;

/** @param {any} container */
const isRunning = ({ state }) => state === "running";

/** @param {any} container; what its owner should know, if anything */
function troubleOf({ health, state, error, cpu, memory }) {
  if (health === "unhealthy" || state === "restarting" || state === "dead") return health === "unhealthy" ? health : state;
  if ((cpu?.throttledPercent ?? 0) >= 10) return "held back";
  if (memory?.limit != null && (memory.usage ?? 0) >= HIGH) return "memory full";
  return error ? "not measured" : "";
}

/**
 * Those in trouble first, then the busiest; what does not run is folded.
 *
 * @param {any[]} containers
 * @param {string[]} before the keys in the order that they had
 * @returns {Shown}
 */
export function containerRows(containers, before) {
  const weight = (/** @type {any} */ container) => {
    if (troubleOf(container) && container.state !== "exited") return 1e9;
    if (!isRunning(container)) return 0;
    return 1 + 100 * (container.cpu?.dockerPercent ?? 0) + (container.memory?.usage ?? 0);
  };
  const order = ranked(containers, ({ id }) => id, weight, before);
  const isShown = (/** @type {any} */ container) => weight(container) > 0;
  const parts = fold(order, isShown, MOST, 0);
  return {
    shown: parts.shown.map(containerRow),
    folded: parts.folded.map(containerRow),
    name: foldName(parts, "stopped"),
  };
}

/** @param {any} container */
function containerRow(container) {
  const { id, name, image, state, status, health, cpu, memory, network, io, error, ports } = container;
  const trouble = troubleOf(container);
  const title = [name, image, status, health, error, (ports ?? []).join(", "), id].filter(Boolean);
  const limit = memory?.limit == null ? "" : `of ${size(memory.limit)}`;
  return {
    key: id,
    high: Boolean(trouble),
    cells: [
      { text: name, title: title.join(" · "), quiet: trouble || (isRunning(container) ? "" : state) },
      fine(cpu?.dockerPercent),
      { text: size(memory?.used), title: limit },
      rate(sum(network?.rxBytesPerSec, network?.txBytesPerSec)),
      rate(sum(io?.readBytesPerSec, io?.writeBytesPerSec)),
    ],
  };
}

/** @param {any[]} containers */
export function containerSummary(containers) {
  const running = containers.filter(isRunning).length;
  return `${plain(running)} of ${plain(containers.length)} running`;
}
