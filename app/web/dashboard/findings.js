// @ts-check
/**
 * What may hold a host up: each suspicion is a pure function of the figures.
 *
 * @typedef {object} Finding
 * @property {string} kind names it, so that it is known again in the next message
 * @property {number} severity from 1 on it is worth a word; half of that is enough to go on with it
 * @property {string} text what is the matter, in a few words
 * @property {string} [more] who or what it comes from
 *
 * @typedef {object} Evidence
 * @property {any} data of `metrics`, in any detail but `simple`
 * @property {number} seconds the time that it is about
 * @property {any} [processes] the data of that channel, if it is known
 */

import { fullness, loadOf, placeOf, sum, trafficOf } from "./devices.js";
import { latency, percent, plain, rate, size } from "./figures.js";
import { limitOf, nameOf } from "./sensors.js";

const MIB = 2 ** 20;
/** For so many seconds a core has to be busy: for less than that some core always is. */
const LASTING = 5;

/** From so many percents on a core is busy enough for others to have to wait for it. */
const BUSY = 60;

/** @typedef {Evidence & { over: string }} Case with that time in words */

/** @type {((evidence: Case) => Finding | Finding[])[]} */
const SUSPICIONS = [
  waiting, restrained, stolen, crowded, cramped, swapping, spinning, full, silent, saturated, hot, alone,
];

/**
 * All that is found, the worst first.
 *
 * @param {Evidence} evidence
 */
export function findings(evidence) {
  const { seconds } = evidence;
  const over = seconds === 1 ? "the last second" : `the last ${plain(seconds)} s`;
  const all = SUSPICIONS.flatMap((suspicion) => suspicion({ ...evidence, over }));
  return all.sort((a, b) => b.severity - a.severity);
}

/**
 * The item for which `value` is highest, if there is one.
 *
 * @template Item
 * @param {Item[] | null | undefined} items
 * @param {(item: Item) => number | null | undefined} value
 */
export function highest(items, value) {
  /** @type {Item | undefined} */
  let top;
  for (const item of items ?? []) if ((value(item) ?? 0) > (top ? (value(top) ?? 0) : 0)) top = item;
  return top;
}

/**
 * The kernel itself counts the time in which work waited: nothing says it better.
 *
 * @param {Case} evidence
 * @returns {Finding[]}
 */
function waiting({ data, over, processes }) {
  const { cpu, memory, io } = data.pressure ?? {};
  // Where no processor is busy, it is a quota that tasks wait for: that of a container, mostly.
  const busiest = Math.max(data.cpu.usage ?? 0, ...(data.cpu.perCore ?? []));
  const processor = busiest < BUSY ? "a limit of processor time" : "a processor";
  // Memory that is short slows down everything; a queue for processors is what they are there for.
  return [
    { kind: "io", stall: io, from: 10, name: "disk", more: diskUser(data, processes) },
    { kind: "memory", stall: memory, from: 5, name: "memory", more: memoryUser(processes) },
    { kind: "cpu", stall: cpu, from: 25, name: processor, more: cpuUser(processes) },
  ].map(({ kind, stall, from, name, more }) => {
    const all = kind !== "cpu" && (stall?.full ?? 0) >= from && `all work stood still ${percent(stall.full)}`;
    return {
      kind,
      severity: (stall?.some ?? 0) / from,
      text: `Waiting for ${name} ${percent(stall?.some)} of ${over}`,
      more: [all, more].filter(Boolean).join(", "),
    };
  });
}

/** @param {Case} evidence */
function restrained({ data: { cpu, memory }, over }) {
  return [
    {
      kind: "throttled",
      severity: (cpu.throttledPercent ?? 0) / 10,
      text: `Held back by the limit of ${plain(cpu.limitCores ?? 0)} cores, ${percent(cpu.throttledPercent)} of ${over}`,
    },
    {
      kind: "limit",
      severity: above(memory.limitUsage, 90, 95),
      text: `${percent(memory.limitUsage)} of the memory limit of ${size(memory.limit)} is used`,
    },
  ];
}

/** @param {Case} evidence */
function stolen({ data: { cpu }, over }) {
  const text = `The hypervisor gave others ${percent(cpu.steal)} of ${over}`;
  return { kind: "steal", severity: (cpu.steal ?? 0) / 10, text };
}

/** @param {Case} evidence */
function crowded({ data: { cpu }, over, processes }) {
  const text = `Processors ${percent(cpu.usage)} busy over ${over}`;
  return { kind: "usage", severity: above(cpu.usage, 80, 90), text, more: cpuUser(processes) };
}

/** @param {Case} evidence */
function cramped({ data: { memory }, processes }) {
  const text = `Memory ${percent(memory.usage)} used, ${size(memory.free)} left`;
  return { kind: "used", severity: above(memory.usage, 85, 92.5), text, more: memoryUser(processes) };
}

/** @param {Case} evidence */
function swapping({ data: { swap }, processes }) {
  const traffic = sum(swap?.inBytesPerSec, swap?.outBytesPerSec) ?? 0;
  // Reading back is what somebody waits for.
  const text = `Swapping, ${rate(swap?.inBytesPerSec)} in and ${rate(swap?.outBytesPerSec)} out`;
  return { kind: "swap", severity: traffic / (4 * MIB), text, more: memoryUser(processes) };
}

/**
 * Where the kernel does not count who waits, the time says it that processors had nothing else to
 * do; and how busy a disk is, which means less, as many can do several things at once.
 *
 * @param {Case} evidence
 */
function spinning({ data, over, processes }) {
  if (data.pressure?.io) return [];
  const disk = highest(data.diskIo, ({ busy }) => busy);
  const more = diskUser(data, processes);
  return [
    {
      kind: "iowait",
      severity: (data.cpu.iowait ?? 0) / 15,
      text: `Processors waiting for disk ${percent(data.cpu.iowait)} of ${over}`,
      more,
    },
    {
      kind: "busy",
      severity: above(disk?.busy, 80, 90),
      text: `Disk ${disk?.device} busy ${percent(disk?.busy)} of ${over}`,
      more,
    },
  ];
}

/** @param {Case} evidence */
function full({ data: { disks, disk } }) {
  const all = disks ?? [{ id: disk.path, mounts: [disk.path], device: "", usage: disk.usage, free: disk.free }];
  return all.map((/** @type {any} */ volume) => {
    const { id, usage, inodesUsage, free } = volume;
    // Images that are mounted read only are full by nature.
    const severity = volume.readOnly ? 0 : above(fullness(volume), 90, 95);
    const what = (inodesUsage ?? 0) > (usage ?? 0) ? `has ${percent(inodesUsage)} of its inodes taken` : `is ${percent(usage)} full`;
    const left = (inodesUsage ?? 0) > (usage ?? 0) ? "" : `, ${size(free)} left`;
    return { kind: `full ${id}`, severity: Math.min(severity, 2), text: `${placeOf(volume)} ${what}${left}` };
  });
}

/** @param {Case} evidence */
function silent({ data: { disks } }) {
  return (disks ?? [])
    .filter((/** @type {any} */ { status }) => status === "timeout" || status === "error")
    .map((/** @type {any} */ volume) => {
      const what = volume.status === "timeout" ? "does not answer" : "cannot be read";
      return { kind: `silent ${volume.id}`, severity: 3, text: `${placeOf(volume)} ${what}`, more: volume.device };
    });
}

/** @param {Case} evidence */
function saturated({ data }) {
  const share = (/** @type {any} */ link) => {
    const most = Math.max(link.rxBytesPerSec ?? 0, link.txBytesPerSec ?? 0);
    return link.kind === "physical" && link.speedMbps ? (most * 8) / (link.speedMbps * 1e4) : 0;
  };
  const link = highest(data.network, share);
  if (!link) return [];
  const text = `Network ${link.interface} ${percent(share(link))} full, the link allows ${plain(link.speedMbps)} Mbit/s`;
  return { kind: "network", severity: above(share(link), 80, 90), text, more: rate(loadOf(link)) };
}

/** @param {Case} evidence */
function hot({ data: { temperatures } }) {
  const sensor = highest(temperatures, (each) => (each.celsius ?? 0) / limitOf(each));
  if (!sensor) return [];
  const text = `${nameOf(sensor)} is at ${plain(Math.round(sensor.celsius))} °C, too warm from ${plain(Math.round(limitOf(sensor)))} °C on`;
  return { kind: "hot", severity: above(sensor.celsius / limitOf(sensor), 0.95, 1), text };
}

/**
 * A program of one thread is bound by one core, while all the others have time.
 *
 * @param {Case} evidence
 */
function alone({ data: { cpu }, seconds, over, processes }) {
  const cores = cpu.perCore ?? [];
  const top = Math.max(...cores, 0);
  const isAlone = seconds >= LASTING && cores.length > 1 && cpu.usage < 60 && top >= 97;
  // Always the last to be named: nothing else may be wrong.
  const text = `Core ${cores.indexOf(top)} is ${percent(top)} busy over ${over}, the others have time`;
  return { kind: "core", severity: isAlone ? 1 : 0, text, more: cpuUser(processes) };
}

/**
 * How severe a figure is that matters from some height on.
 *
 * @param {number | null | undefined} value
 * @param {number} half where the severity is a half
 * @param {number} one where it is 1
 */
function above(value, half, one) {
  return Math.max(0, 0.5 + (0.5 * ((value ?? 0) - half)) / (one - half));
}

/** @param {any} processes */
function cpuUser(processes) {
  const top = highest(processes?.items, ({ cpu }) => cpu);
  return top && `${top.name} uses ${percent(top.cpu)} of a core`;
}

/** @param {any} processes */
function memoryUser(processes) {
  const top = highest(processes?.items, ({ memoryBytes }) => memoryBytes);
  return top && `${top.name} holds ${size(top.memoryBytes)}`;
}

/**
 * @param {any} data
 * @param {any} processes
 */
function diskUser(data, processes) {
  const disk = highest(data.diskIo, ({ busy }) => busy);
  const program = highest(processes?.items, trafficOf);
  const slow = Math.max(disk?.readLatencyMs ?? 0, disk?.writeLatencyMs ?? 0);
  const parts = [
    disk && `${disk.device} busy ${percent(disk.busy)}${slow ? ` at ${latency(slow)}` : ""}`,
    program && `${program.name} moves ${rate(trafficOf(program))}`,
  ];
  return parts.filter(Boolean).join(", ");
}
