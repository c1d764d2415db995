// @ts-check
/**
 * Who uses the host, as rows: processes.
 *
 * @import { Row } from "./table.js"
 */

import { trafficOf } from "./devices.js";
import { count, fine, percent, plain, rate, size } from "./figures.js";

const MOST = 8;
/** What is not said by the figures, by the letter of the state. */
const STATES = { D: "waits for disk", Z: "zombie", T: "stopped" };

/** What processes can be sorted by. */
export const SORTS = /** @type {Record<string, (task: any) => number | null | undefined>} */ ({
  cpu: ({ cpu }) => cpu,
  memory: ({ memoryBytes }) => memoryBytes,
  io: trafficOf,
});

/**
 * The greatest users of one resource.
 *
 * @param {any} data of `processes`
 * @param {string} by a key of `SORTS`
 * @returns {Row[]}
 */
export function taskRows({ items }, by) {
  const value = SORTS[by];
  const order = [...items].sort((a, b) => (value(b) ?? -1) - (value(a) ?? -1) || b.memoryBytes - a.memoryBytes);
  return order.slice(0, MOST).map(taskRow);
}

/** @param {any} task */
function taskRow(task) {
  const { pid, startMs, name, user, state, cpu, memoryBytes, memory, container, command } = task;
  const title = [command ?? name, `process ${pid}`, container && `container ${container}`];
  return {
    key: `${pid} ${startMs}`,
    cells: [
      {
        text: name,
        title: title.filter(Boolean).join(" · "),
        quiet: STATES[/** @type {"D"} */ (state)] ?? "",
      },
      { text: user ?? "", title: user ?? "" },
      fine(cpu),
      { text: size(memoryBytes), title: percent(memory) },
      rate(trafficOf(task)),
    ],
  };
}

/** @param {any} data of `processes` */
export function taskSummary({ total, running, threads }) {
  return `${plain(total)} in all · ${plain(running)} running · ${count(threads, "thread")}`;
}
