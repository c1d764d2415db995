// @ts-check
/** What Pulsewire itself costs, and what it cannot read at present. */

import { count, latency, plain, size } from "./figures.js";

/**
 * Say what it costs, in a line.
 *
 * @param {any} own the key `self` of `metrics`
 */
export function costOf(own) {
  const { cpu, rssBytes, collectMs, clients, dropped, lagMs } = own ?? {};
  const parts = [
    cpu != null && `${plain(Math.round(cpu * 10) / 10)} % of a core`,
    rssBytes != null && size(rssBytes),
    collectMs != null && `reading takes ${latency(collectMs)}`,
    lagMs != null && `late by ${latency(lagMs)} at most`,
    clients != null && count(clients, "client"),
    dropped > 0 && `${count(dropped, "message")} left out for slow readers`,
  ];
  return parts.filter(Boolean).join(" · ");
}

/**
 * Say which groups of figures cannot be read.
 *
 * @param {{ group: string, code: string }[] | null | undefined} errors of `metrics`
 */
export function errorsOf(errors) {
  const groups = (errors ?? []).map(({ group, code }) => `${group} (${code})`);
  return groups.length ? `Cannot be read at present: ${groups.join(", ")}` : "";
}
