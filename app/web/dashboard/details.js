// @ts-check
/**
 * What a message in full detail says beyond the four figures: lists, the cores, the footer.
 *
 * @import { Shown } from "./list.js"
 * @import { Column } from "./table.js"
 */

import { Cores } from "./cores.js";
import { costOf, errorsOf } from "./cost.js";
import { driveRows, linkRows, volumeRows } from "./devices.js";
import { hundredths, rate, share, size, UNKNOWN } from "./figures.js";
import { List } from "./list.js";
import { byId, say } from "./page.js";
import { hasSensors, sensorRows } from "./sensors.js";
import { timesOf, waitRows } from "./waits.js";

/**
 * @typedef {object} Kind
 * @property {string} label
 * @property {Column[]} columns
 * @property {boolean} [headed] whether these need names to be understood
 * @property {(data: any, before: string[]) => Shown} rows
 */

/** @type {(...columns: [string, Column["kind"]][]) => Column[]} */
const columns = (...given) => given.map(([name, kind]) => ({ name, kind }));

/** @type {Record<string, Kind>} by the id of the panel */
const KINDS = {
  disk: {
    label: "File systems",
    columns: columns(["where", "name"], ["used", "bar"], ["left", "figure"], ["usage", "figure"]),
    rows: ({ disks }, before) => volumeRows(disks, before),
  },
  drives: {
    label: "Disks",
    columns: columns(["disk", "name"], ["time", "bar"], ["traffic", "figure"], ["busy", "figure"]),
    rows: ({ diskIo }, before) => driveRows(diskIo, before),
  },
  links: {
    label: "Interfaces",
    columns: columns(["interface", "name"], ["state", "word"], ["received", "figure"], ["sent", "figure"]),
    rows: ({ network }, before) => linkRows(network, before),
  },
  load: {
    label: "Time waited for",
    columns: columns(["waited for", "name"], ["", "bar"], ["now", "figure"], ["5 min", "figure"]),
    headed: true,
    rows: ({ pressure }) => ({ shown: waitRows(pressure), folded: [], name: "" }),
  },
  sensors: {
    label: "Sensors",
    columns: columns(["sensor", "name"], ["of its limit", "bar"], ["reading", "figure"]),
    rows: sensorRows,
  },
};

/**
 * Say what memory is used for beside programs, and what swap does.
 *
 * @param {any} data
 */
export function memoryText({ memory, swap }) {
  const { cached, zfsArc } = memory;
  const parts = [cached != null && `cache ${size(cached)}`, zfsArc != null && `ZFS ${size(zfsArc)}`];
  if (swap?.total) {
    parts.push(`swap ${share(swap.used ?? 0, swap.total)}`);
    const traffic = [swap.inBytesPerSec, swap.outBytesPerSec];
    if (traffic.some((each) => each > 0)) parts.push(`${rate(traffic[0])} in, ${rate(traffic[1])} out`);
  } else if (swap?.total === 0) parts.push("no swap");
  return parts.filter(Boolean).join(" · ") || UNKNOWN;
}

/**
 * Say where the time of the processors goes, and how fast they are.
 *
 * @param {any} cpu
 */
export function cpuText(cpu) {
  const { frequencyMHz, limitCores } = cpu;
  const parts = [timesOf(cpu), frequencyMHz && `${hundredths(frequencyMHz / 1000)} GHz`];
  if (limitCores != null) parts.push(`limit ${hundredths(limitCores)} cores`);
  return parts.filter(Boolean).join(" · ");
}

/** All of it on the page. */
export class Details {
  #cores = new Cores(/** @type {Element} */ (document.querySelector("#cpu .cores")));
  #lists = Object.entries(KINDS).map(([id, { label, columns: wanted, headed, rows }]) => {
    const place = /** @type {HTMLElement} */ (byId(id).querySelector(".list"));
    return { list: new List(place, wanted, { label, headed }), rows };
  });

  /** @param {any} data in full detail */
  show(data) {
    this.#cores.show(data.cpu.perCore ?? []);
    extra("cpu", cpuText(data.cpu));
    extra("memory", memoryText(data));
    extra("load", data.pressure ? "" : "This kernel does not count what is waited for");
    byId("sensors").hidden = !hasSensors(data);
    for (const { list, rows } of this.#lists) list.show(rows(data, list.keys));
    say(byId("cost"), costOf(data.self));
    say(byId("errors"), errorsOf(data.errors));
  }
}

/**
 * @param {string} id of the panel
 * @param {string} text
 */
function extra(id, text) {
  const element = /** @type {HTMLElement} */ (byId(id).querySelector(".extra"));
  // A line ends between two figures, never within one.
  say(element, text.split(" · ").map((part) => part.replaceAll(" ", "\u00a0")).join(" · "));
  element.title = text;
}
