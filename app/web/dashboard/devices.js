// @ts-check
/**
 * What a host is made of, as rows: file systems, disks, network interfaces.
 *
 * @import { Shown } from "./list.js"
 */

import { latency, percent, plain, rate, size } from "./figures.js";
import { fold, foldName, ranked } from "./order.js";

/** From this part on a file system is called full. */
const FULL = 90;
/** From so many milliseconds on a disk is slow. */
const SLOW = 10;
const WORDS = { timeout: "no answer", error: "unreadable", gone: "gone" };
/** From that part of all packets on it matters that some are lost. */
const LOSS = 0.001;
/** Less than that, in bytes per second, is idle. */
const MURMUR = 1024;
const MOST = { volumes: 4, drives: 2, links: 2 };

/** @param {...(number | null | undefined)} numbers the sum of those that are known, null if none is */
export function sum(...numbers) {
  const known = numbers.filter((number) => number != null);
  return known.length ? known.reduce((all, number) => all + number, 0) : null;
}

/** @param {any} volume; its fuller one of bytes and inodes, in percent */
export function fullness({ usage, inodesUsage }) {
  return Math.max(usage ?? 0, inodesUsage ?? 0);
}

/**
 * The name of a file system for people: where it is mounted first.
 *
 * @param {any} volume
 */
export function placeOf({ mounts, device }) {
  return [...mounts].sort((a, b) => a.length - b.length)[0] ?? device;
}

/**
 * File systems, the fullest first.
 *
 * @param {any[]} volumes
 * @param {string[]} before the keys in the order that they had
 * @returns {Shown}
 */
export function volumeRows(volumes, before) {
  const isBad = (/** @type {any} */ volume) => volume.status !== "ok" && volume.status !== "gone";
  const weight = (/** @type {any} */ volume) => (isBad(volume) ? 1e6 : 2 ** (fullness(volume) / 5));
  const order = ranked(volumes, ({ id }) => id, weight, before);
  const parts = fold(order, () => true, MOST.volumes);
  return { ...rows(parts, volumeRow), name: foldName(parts, "") };
}

/** @param {any} volume */
function volumeRow(volume) {
  const { id, device, fsType, mounts, total, free, usage, inodesUsage, readOnly, status } = volume;
  const byInodes = (inodesUsage ?? 0) > (usage ?? 0) && inodesUsage >= FULL;
  const word = WORDS[/** @type {keyof typeof WORDS} */ (status)] ?? (readOnly ? "read only" : "");
  const left = byInodes ? `inodes ${percent(inodesUsage)}` : free == null ? "" : `${size(free)} left`;
  const full = fullness(volume);
  return {
    key: id,
    high: full >= FULL || status === "timeout" || status === "error",
    cells: [
      { text: placeOf(volume), title: [device, fsType, ...mounts, size(total)].join(" · ") },
      { share: full },
      word || left,
      percent(usage),
    ],
  };
}

/** @param {any} drive */
export const trafficOf = (drive) => sum(drive.readBytesPerSec, drive.writeBytesPerSec);

/**
 * Disks, the busiest first, with the idle ones folded.
 *
 * @param {any[]} drives
 * @param {string[]} before the keys in the order that they had
 * @returns {Shown}
 */
export function driveRows(drives, before) {
  const weight = (/** @type {any} */ drive) => (drive.busy ?? 0) + (trafficOf(drive) ?? 0) / 2 ** 20;
  const isBusy = (/** @type {any} */ drive) => (drive.busy ?? 0) >= 1 || (trafficOf(drive) ?? 0) >= MURMUR;
  const order = ranked(drives, ({ device }) => device, weight, before);
  const parts = fold(order, isBusy, MOST.drives);
  return { ...rows(parts, driveRow), name: foldName(parts, "idle") };
}

/** @param {any} drive */
function driveRow(drive) {
  const { device, busy, readLatencyMs, writeLatencyMs, readsPerSec, writesPerSec } = drive;
  const slowest = Math.max(readLatencyMs ?? 0, writeLatencyMs ?? 0);
  const operations = sum(readsPerSec, writesPerSec);
  const title = [
    device,
    operations != null && `${plain(Math.round(operations))} operations/s`,
    `a read takes ${latency(readLatencyMs)}, a write ${latency(writeLatencyMs)}`,
  ];
  return {
    key: device,
    high: (busy ?? 0) >= FULL,
    cells: [
      { text: device, title: title.filter(Boolean).join(" · "), quiet: slowest >= SLOW ? latency(slowest) : "" },
      { share: busy ?? 0 },
      rate(trafficOf(drive)),
      percent(busy),
    ],
  };
}

/**
 * All disks together.
 *
 * @param {any} data
 * @param {"readBytesPerSec" | "writeBytesPerSec"} key
 */
export function driveTotal({ diskIo }, key) {
  return sum(...(diskIo ?? []).map((/** @type {any} */ drive) => drive[key]));
}

/** @param {any} link; both ways together */
export const loadOf = (link) => sum(link.rxBytesPerSec, link.txBytesPerSec);

/**
 * Network interfaces, the busiest first and hardware before software, with the idle ones folded.
 *
 * @param {any[]} links
 * @param {string[]} before the keys in the order that they had
 * @returns {Shown}
 */
export function linkRows(links, before) {
  const isBusy = (/** @type {any} */ link) => (loadOf(link) ?? 0) >= MURMUR || lossOf(link) > 0;
  // What goes through a bridge has come in by hardware: that is to be seen first.
  const weight = (/** @type {any} */ link) =>
    (loadOf(link) ?? 0) * { physical: 1e6, virtual: 1, loopback: 1e-6 }[/** @type {"virtual"} */ (link.kind)];
  const order = ranked(links, (link) => link.interface, weight, before);
  const parts = fold(order, isBusy, MOST.links);
  return { ...rows(parts, linkRow), name: foldName(parts, "idle") };
}

/**
 * How many packets are lost in a second; 0 if that is next to nothing of all.
 *
 * @param {any} link
 */
function lossOf({ kind, rxPacketsPerSec, txPacketsPerSec, errorsPerSec, dropsPerSec }) {
  const lost = sum(errorsPerSec, dropsPerSec) ?? 0;
  const all = sum(rxPacketsPerSec, txPacketsPerSec) ?? 0;
  return kind !== "loopback" && lost > LOSS * all ? lost : 0;
}

/** @param {any} link */
function linkRow(link) {
  const { speedMbps, up, rxBytesPerSec, txBytesPerSec } = link;
  const lost = lossOf(link);
  const title = [link.interface, link.kind, up === false && "down", speedMbps && `${speedMbps} Mbit/s`];
  return {
    key: link.interface,
    high: lost > 0,
    cells: [
      { text: link.interface, title: title.filter(Boolean).join(" · ") },
      up === false ? "down" : lost > 0 ? `${Math.ceil(lost)} lost/s` : "",
      rate(rxBytesPerSec),
      rate(txBytesPerSec),
    ],
  };
}

/**
 * The traffic of the host: hardware alone, as the rest goes through it too; all else where there
 * is none, as in a container.
 *
 * @param {any} data
 * @param {"rxBytesPerSec" | "txBytesPerSec"} key
 */
export function linkTotal({ network }, key) {
  const links = (network ?? []).filter((/** @type {any} */ { kind }) => kind !== "loopback");
  const hardware = links.filter((/** @type {any} */ { kind }) => kind === "physical");
  return sum(...(hardware.length ? hardware : links).map((/** @type {any} */ link) => link[key]));
}

/**
 * @template Item
 * @param {{ shown: Item[], folded: Item[] }} parts
 * @param {(item: Item) => import("./table.js").Row} row
 */
function rows({ shown, folded }, row) {
  return { shown: shown.map(row), folded: folded.map(row) };
}
