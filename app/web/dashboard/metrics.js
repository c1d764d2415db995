// @ts-check
/** The figures of the `metrics` channel that have a panel each. */

import { hundredths, plain, share, tenths } from "./figures.js";

/**
 * @typedef {object} Metric
 * @property {string} name
 * @property {(data: any) => number} value
 * @property {(data: any) => number} limit the value that means that all of it is in use
 * @property {(value: number) => string} text
 * @property {(data: any) => string} unit stands behind the figure
 * @property {(data: any) => string} more what else there is to know
 */

const PERCENT = { limit: () => 100, text: tenths, unit: () => "%" };

/** @type {Record<string, Metric>} by the id of the panel */
export const METRICS = {
  cpu: {
    ...PERCENT,
    name: "CPU",
    value: ({ cpu }) => cpu.usage,
    more: ({ cpu }) => (cpu.cores === 1 ? "1 core" : `${plain(cpu.cores)} cores`),
  },
  memory: {
    ...PERCENT,
    name: "Memory",
    value: ({ memory }) => memory.usage,
    more: ({ memory }) => share(memory.used, memory.total),
  },
  disk: {
    ...PERCENT,
    name: "Disk",
    value: ({ disk }) => disk.usage,
    more: ({ disk }) => `${share(disk.used, disk.used + disk.free)} at ${disk.path}`,
  },
  load: {
    name: "Load",
    value: ({ cpu }) => cpu.loadAvg[0],
    limit: ({ cpu }) => cpu.cores,
    text: hundredths,
    unit: ({ cpu }) => `of ${plain(cpu.cores)}`,
    more: ({ cpu: { loadAvg } }) =>
      `5 min ${hundredths(loadAvg[1])} · 15 min ${hundredths(loadAvg[2])}`,
  },
};
