// What the dashboard says of the full figures: the parts of it that need no page.

import assert from "node:assert/strict";
import { test } from "node:test";

import { judge } from "../../app/web/dashboard/bottleneck.js";
import { containerRows, containerSummary } from "../../app/web/dashboard/containers.js";
import { strip, stripText } from "../../app/web/dashboard/cores.js";
import { costOf, errorsOf } from "../../app/web/dashboard/cost.js";
import { cpuText, memoryText } from "../../app/web/dashboard/details.js";
import {
  driveRows, driveTotal, linkRows, linkTotal, sum, volumeRows,
} from "../../app/web/dashboard/devices.js";
import { count, fine, latency, percent, rate, size } from "../../app/web/dashboard/figures.js";
import { findings } from "../../app/web/dashboard/findings.js";
import { edgeOf } from "../../app/web/dashboard/flow.js";
import { fold, foldName, ranked } from "../../app/web/dashboard/order.js";
import { hasSensors, hottest, sensorRows } from "../../app/web/dashboard/sensors.js";
import { taskRows, taskSummary } from "../../app/web/dashboard/tasks.js";
import { timesOf, waitRows } from "../../app/web/dashboard/waits.js";

const GIB = 2 ** 30;
const MIB = 2 ** 20;

const cpu = { usage: 20, cores: 4, loadAvg: [1, 1, 1], perCore: [20, 20, 20, 20] };
const memory = { total: 16 * GIB, used: 4 * GIB, free: 12 * GIB, usage: 25 };
const disk = { total: 100, used: 50, free: 50, usage: 50, path: "/" };
const standard = { cpu, memory, disk, uptime: 1, hostname: "web-1" };
const nothing = {
  ...standard,
  swap: null, disks: [], diskIo: [], network: [], temperatures: [], fans: [], battery: null,
  pressure: null, bootTime: null, self: {}, errors: [],
};
const stalled = (io = 0, memoryToo = 0, processor = 0) => ({
  cpu: { some: processor }, memory: { some: memoryToo, full: 0 }, io: { some: io, full: io / 2 }, irq: null,
});
const sda = { device: "sda", busy: 97, readBytesPerSec: MIB, writeBytesPerSec: 9 * MIB, readLatencyMs: 2, writeLatencyMs: 21 };
const told = (data, before, processes = null) => judge({ data: { ...nothing, ...data }, seconds: 5, processes }, before);
const keys = (rows) => rows.map(({ key }) => key);
const texts = ({ cells }) => cells.map((cell) => cell.text ?? cell.share ?? cell);

// The bottleneck

test("what tasks waited for is the bottleneck, with who made them wait", () => {
  const items = [{ name: "postgres", cpu: 3, memoryBytes: 1, readBytesPerSec: null, writeBytesPerSec: 40 * MIB }];
  const { kinds, text, more } = told({ pressure: stalled(38), diskIo: [sda] }, [], { items });
  assert.deepEqual(kinds, ["io"]);
  assert.equal(text, "Waiting for disk 38 % of the last 5 s");
  assert.equal(more, "all work stood still 19 %, sda busy 97 % at 21 ms, postgres moves 40 MiB/s");
});

test("memory that is short is worse than as much waiting for a processor", () => {
  const { kinds, text } = told({ pressure: stalled(0, 20, 60) });
  assert.deepEqual(kinds, ["memory", "cpu"]);
  assert.equal(text, "Waiting for memory 20 % of the last 5 s");
});

test("who waits while no processor is busy waits for a limit to be lifted", () => {
  const waited = (usage, core) => told({ cpu: { ...cpu, usage, perCore: [1, core] }, pressure: stalled(0, 0, 60) }).text;
  assert.equal(waited(18, 35), "Waiting for a limit of processor time 60 % of the last 5 s");
  assert.equal(waited(50, 99), "Waiting for a processor 60 % of the last 5 s");
  assert.equal(waited(70, null), "Waiting for a processor 60 % of the last 5 s");
});

test("where nothing holds the host up, the line says what is busiest", () => {
  const { kinds, text, more } = told({ pressure: stalled(), diskIo: [{ ...sda, busy: 3 }] });
  assert.deepEqual(kinds, []);
  assert.equal(text, "No bottleneck");
  assert.equal(more, "processors 20 % busy · memory 25 % used · busiest disk sda 3 %");
});

test("what was found stays for as long as it is half as bad, and in its place", () => {
  assert.deepEqual(told({ pressure: stalled(6) }).kinds, []);
  assert.deepEqual(told({ pressure: stalled(6) }, ["io"]).kinds, ["io"]);
  assert.deepEqual(told({ pressure: stalled(4) }, ["io"]).kinds, []);
  assert.deepEqual(told({ pressure: stalled(20, 12) }, []).kinds, ["memory", "io"]);
  assert.deepEqual(told({ pressure: stalled(20, 12) }, ["io"]).kinds, ["io", "memory"]);
  assert.deepEqual(told({ pressure: stalled(20, 30) }, ["io"]).kinds, ["memory", "io"]);
});

test("what else is the matter follows, but not what says the same again", () => {
  const disks = [{ id: "1", mounts: ["/srv"], device: "sdb1", usage: 97, free: 3 * GIB, status: "ok" }];
  const { text, more } = told({ cpu: { ...cpu, usage: 99 }, pressure: stalled(0, 0, 60), disks });
  assert.equal(text, "Waiting for a processor 60 % of the last 5 s");
  assert.equal(more, "also: /srv is 97 % full, 3.0 GiB left");
});

test("without pressure figures other signs have to do", () => {
  assert.equal(told({ cpu: { ...cpu, iowait: 30 }, diskIo: [sda] }).text, "Processors waiting for disk 30 % of the last 5 s");
  assert.equal(told({ diskIo: [sda] }).text, "Disk sda busy 97 % of the last 5 s");
  assert.equal(told({ cpu: { ...cpu, usage: 96 } }).text, "Processors 96 % busy over the last 5 s");
});

test("each thing that holds a host up is told from the others", () => {
  const said = [
    { cpu: { ...cpu, throttledPercent: 40, limitCores: 2 } },
    { cpu: { ...cpu, steal: 25 } },
    { cpu: { ...cpu, perCore: [100, 5, 5, 5] } },
    { memory: { ...memory, usage: 97, free: GIB } },
    { memory: { ...memory, limit: 2 * GIB, limitUsage: 99 } },
    { swap: { inBytesPerSec: 9 * MIB, outBytesPerSec: null } },
    { network: [{ interface: "eth0", kind: "physical", speedMbps: 100, rxBytesPerSec: 12e6, txBytesPerSec: 0 }] },
    { temperatures: [{ sensor: "nvme", label: "", celsius: 88, high: 82, critical: 85 }] },
    { disks: [{ id: "7", mounts: ["/mnt/nfs"], device: "nas:/", usage: null, status: "timeout" }] },
    { disks: [{ id: "7", mounts: [], device: "sdb", usage: 5, inodesUsage: 99, free: 1, status: "ok" }] },
  ].map((data) => told(data).text);
  assert.deepEqual(said, [
    "Held back by the limit of 2 cores, 40 % of the last 5 s",
    "The hypervisor gave others 25 % of the last 5 s",
    "Core 0 is 100 % busy over the last 5 s, the others have time",
    "Memory 97 % used, 1.0 GiB left",
    "99 % of the memory limit of 2.0 GiB is used",
    "Swapping, 9.0 MiB/s in and – out",
    "Network eth0 96 % full, the link allows 100 Mbit/s",
    "nvme is at 88 °C, too warm from 82 °C on",
    "/mnt/nfs does not answer",
    "sdb has 99 % of its inodes taken",
  ]);
});

test("standard figures are judged as far as they go", () => {
  const full = { ...standard, disk: { ...disk, usage: 99, free: 2 * GIB } };
  assert.equal(judge({ data: full, seconds: 5 }).text, "/ is 99 % full, 2.0 GiB left");
  assert.equal(judge({ data: standard, seconds: 5 }).text, "No bottleneck");
});

test("a second is too short to say that a program is bound by its core", () => {
  const data = { ...nothing, cpu: { ...cpu, perCore: [100, 5, 5, 5] } };
  assert.equal(judge({ data, seconds: 1 }).text, "No bottleneck");
  const { text } = judge({ data: { ...nothing, pressure: stalled(20) }, seconds: 1 });
  assert.equal(text, "Waiting for disk 20 % of the last second");
});

test("an image that is full by nature is no finding", () => {
  const disks = [{ id: "1", mounts: ["/snap"], device: "loop1", usage: 100, readOnly: true, status: "ok" }];
  assert.deepEqual(told({ disks }).kinds, []);
});

test("who uses processors and memory is named, where it is known", () => {
  const items = [
    { name: "small", cpu: 1, memoryBytes: MIB },
    { name: "ffmpeg", cpu: 398, memoryBytes: 2 * MIB },
    { name: "java", cpu: null, memoryBytes: 9 * GIB },
  ];
  const [first, ...others] = findings({
    data: { ...nothing, pressure: stalled(0, 50, 90) }, seconds: 5, processes: { items },
  });
  assert.equal(first.more, "java holds 9.0 GiB");
  assert.equal(others[0].more, "ffmpeg uses 398 % of a core");
});

// What comes first, and what is folded

const byName = (item) => item.name;
const byWeight = (item) => item.weight;
const items = (weights) => Object.entries(weights).map(([name, weight]) => ({ name, weight }));

test("the busiest come first", () => {
  assert.deepEqual(ranked(items({ a: 1, b: 3, c: 2, d: 0 }), byName, byWeight).map(byName), ["b", "c", "a", "d"]);
});

test("of two that are about as busy none passes the other, and strangers find their place", () => {
  const order = (weights, before) => ranked(items(weights), byName, byWeight, before).map(byName);
  assert.deepEqual(order({ a: 100, b: 110 }, ["a", "b"]), ["a", "b"]);
  assert.deepEqual(order({ a: 100, b: 130 }, ["a", "b"]), ["b", "a"]);
  assert.deepEqual(order({ c: 105, a: 100, b: 110 }, ["a", "b"]), ["a", "b", "c"]);
  assert.deepEqual(order({ c: 120, a: 100, b: 110 }, ["b", "gone", "a"]), ["c", "b", "a"]);
});

test("the idle are folded, and so are the busy for whom there is no room", () => {
  const busy = (item) => item.weight > 0;
  const parts = fold(items({ a: 3, b: 2, c: 1, d: 0 }), busy, 2);
  assert.deepEqual([parts.shown.map(byName), parts.folded.map(byName), parts.busy], [["a", "b"], ["c", "d"], 1]);
  assert.equal(foldName(parts, "idle"), "1 more, 1 idle");
  const idle = fold(items({ a: 0, b: 0 }), busy, 2);
  assert.deepEqual(idle.shown.map(byName), ["a"]);
  assert.equal(foldName(idle, "idle"), "1 idle");
  assert.equal(foldName(fold([], busy, 2), "idle"), "");
});

// Devices

test("file systems are fullest first, and one that does not answer before all", () => {
  const volume = (id, usage, more = {}) => ({
    id, device: `/dev/${id}`, fsType: "ext4", mounts: [`/srv/${id}/deep`, `/${id}`], total: 100 * GIB,
    free: 5 * GIB, usage, inodesUsage: 1, readOnly: false, status: "ok", ...more,
  });
  const nulls = { total: null, free: null, usage: null, inodesUsage: null };
  const given = [
    volume("a", 40), volume("b", 95), volume("c", 10, { inodesUsage: 99 }),
    volume("d", null, { ...nulls, status: "timeout" }), volume("e", 20, { readOnly: true }), volume("f", 1),
  ];
  const { shown, folded, name } = volumeRows(given, []);
  assert.deepEqual(shown.map(texts), [
    ["/d", 0, "no answer", "–"],
    ["/c", 99, "inodes 99 %", "10 %"],
    ["/b", 95, "5.0 GiB left", "95 %"],
    ["/a", 40, "5.0 GiB left", "40 %"],
  ]);
  assert.deepEqual(shown.map(({ high }) => high), [true, true, true, false]);
  assert.deepEqual(folded.map(texts).map((cells) => cells[2]), ["read only", "5.0 GiB left"]);
  assert.equal(name, "2 more");
});

test("disks are busiest first, slow ones say so, and idle ones are folded", () => {
  const idle = (device) => ({ device, busy: 0, readBytesPerSec: 0, writeBytesPerSec: 0 });
  const { shown, folded, name } = driveRows([idle("loop0"), sda, idle("loop1")], []);
  assert.deepEqual(shown.map(texts), [["sda", 97, "10 MiB/s", "97 %"]]);
  assert.equal(shown[0].cells[0].quiet, "21 ms");
  assert.deepEqual(keys(folded), ["loop0", "loop1"]);
  assert.equal(name, "2 idle");
  const unknown = { device: "vda", busy: null, readBytesPerSec: null, writeBytesPerSec: null };
  assert.deepEqual(driveRows([unknown], []).shown.map(texts), [["vda", 0, "–", "–"]]);
});

test("interfaces are hardware first, and those that lose packets say so", () => {
  const link = (name, kind, rx, tx, more) => ({
    interface: name, kind, up: true, speedMbps: null, rxBytesPerSec: rx, txBytesPerSec: tx, errorsPerSec: 0, dropsPerSec: 0, ...more,
  });
  const network = [
    link("docker0", "virtual", 9 * MIB, MIB), link("eth0", "physical", MIB, MIB, { dropsPerSec: 0.4 }),
    link("lo", "loopback", 9 * MIB, 9 * MIB), link("wlan0", "physical", 0, 0, { up: false }),
  ];
  const { shown, folded, name } = linkRows(network, []);
  assert.deepEqual(shown.map(texts), [
    ["eth0", "1 lost/s", "1.0 MiB/s", "1.0 MiB/s"],
    ["docker0", "", "9.0 MiB/s", "1.0 MiB/s"],
  ]);
  assert.deepEqual(keys(folded), ["lo", "wlan0"]);
  assert.equal(name, "1 more, 1 idle");
  assert.equal(texts(folded[1])[1], "down");
  const noise = link("eth1", "physical", 1, 1, { rxPacketsPerSec: 5000, txPacketsPerSec: null, errorsPerSec: 1 });
  assert.deepEqual(linkRows([noise, { ...noise, interface: "lo", kind: "loopback", errorsPerSec: 900 }], []).shown.map(({ high }) => high), [false]);
  // What goes through a bridge goes through hardware too.
  assert.equal(linkTotal({ network }, "rxBytesPerSec"), MIB);
  assert.equal(linkTotal({ network: [network[0], network[2]] }, "rxBytesPerSec"), 9 * MIB);
  assert.equal(linkTotal({}, "rxBytesPerSec"), null);
});

test("a sum is that of what is known", () => {
  assert.equal(sum(1, null, 2), 3);
  assert.equal(sum(null, undefined), null);
  assert.equal(driveTotal({ diskIo: [sda, { readBytesPerSec: null }] }, "readBytesPerSec"), MIB);
});

// Sensors

test("what is cool is folded, what is warm is not, and the battery is always there", () => {
  const sensor = (label, celsius, high = null, critical = null) => ({ sensor: "chip", label, celsius, high, critical });
  const temperatures = [sensor("a", 50), sensor("b", 78, 80), sensor("b", 95, 0, 90), sensor("", null), sensor("c", 80)];
  const battery = { percent: 76.4, charging: false, secsLeft: 7800 };
  const { shown, folded, name } = sensorRows({ temperatures, fans: [{ sensor: "f", label: "", rpm: 3100 }], battery }, []);
  assert.deepEqual(shown.map((row) => texts(row).filter((_, at) => at !== 1)), [
    ["Battery", "76 %"], ["chip b", "95 °C"], ["chip b", "78 °C"], ["chip c", "80 °C"],
  ]);
  assert.deepEqual(shown.map(({ high }) => high), [false, true, false, false]);
  assert.equal(new Set(keys([...shown, ...folded])).size, 7);
  assert.equal(shown[0].cells[0].quiet, "2 h 10 min left");
  assert.equal(name, "2 more cool, 1 fan");
  assert.equal(hottest(temperatures).celsius, 95);
});

test("a host without sensors has none", () => {
  assert.equal(hasSensors(nothing), false);
  assert.equal(hasSensors({ ...nothing, battery: { percent: null, charging: null, secsLeft: null } }), true);
  assert.equal(hottest(null), undefined);
  assert.equal(hottest([{ sensor: "chip", label: "", celsius: null }]), undefined);
  assert.deepEqual(sensorRows({ ...nothing, temperatures: null, fans: null }, []), { shown: [], folded: [], name: "" });
  const { shown } = sensorRows({ ...nothing, battery: { percent: 5, charging: true, secsLeft: null } }, []);
  assert.equal(shown[0].cells[0].quiet, "plugged in");
});

// What was waited for, and where the time went

test("each resource has its row, as far as the kernel counts", () => {
  const irq = { some: null, full: 1.4, some300: null, full300: 0.2 };
  const rows = waitRows({ cpu: null, memory: { some: 6, some300: 2 }, io: { some: null }, irq });
  assert.deepEqual(rows.map(texts), [
    ["Memory", 6, "6 %", "2 %"], ["Disk", 0, "–", "–"], ["Interrupts", 1.4, "1 %", "0 %"],
  ]);
  assert.deepEqual(rows.map(({ high }) => high), [true, false, false]);
  assert.deepEqual(waitRows(null), []);
});

test("of the processors' time only what is something is said", () => {
  assert.equal(timesOf({ user: 30, system: 9, nice: 0, iowait: 31, irq: 0.3, softirq: 0.4, steal: null }), "user 30 % · system 9 % · wait 31 % · interrupts 1 %");
  assert.equal(timesOf({ user: 0, system: 0.1 }), "idle");
  assert.equal(timesOf({ user: null }), "–");
  assert.equal(cpuText({ user: 2, frequencyMHz: 2900, limitCores: 1.5 }), "user 2 % · 2.90 GHz · limit 1.50 cores");
});

test("memory has its caches and its swap", () => {
  const swap = { total: 2 * GIB, used: GIB, inBytesPerSec: 0, outBytesPerSec: null };
  assert.equal(memoryText({ memory: { cached: 6 * GIB, zfsArc: GIB }, swap }), "cache 6.0 GiB · ZFS 1.0 GiB · swap 1.0 of 2.0 GiB");
  const swapping = { ...swap, inBytesPerSec: MIB, outBytesPerSec: 0 };
  assert.match(memoryText({ memory: {}, swap: swapping }), /· 1.0 MiB\/s in, 0 B\/s out$/);
  assert.equal(memoryText({ memory: { cached: null }, swap: null }), "–");
  assert.equal(memoryText({ memory: {}, swap: { total: 0 } }), "no swap");
});

test("cores are bars, in as many rows as they need, and busy ones are apart", () => {
  const few = strip([50, 100, null]);
  assert.equal(few.box, "0 0 3 100");
  assert.equal(few.calm, "M0.05 100v-47h0.9V100Z");
  assert.equal(few.busy, "M1.05 100v-94h0.9V100Z");
  const many = strip(Array.from({ length: 192 }, () => 0));
  assert.equal(many.box, "0 0 64 300");
  assert.equal(many.calm.match(/M/g).length, 192);
  assert.match(many.calm, /M63\.1 300v-4h0\.8V300Z$/);
  assert.equal(strip([]).box, "0 0 1 100");
  assert.equal(stripText([50, 91.4, 99.6, null]), "3 cores, the busiest 100 %, 2 of them busy, 1 offline");
  assert.equal(stripText([7]), "1 core, the busiest 7 %");
  assert.equal(stripText([null]), "Cores: not known");
});

// Who lives there

test("processes are sorted by what one wants, unknown figures last", () => {
  const task = (pid, cpuUsed, memoryBytes, written, more = {}) => ({
    pid, startMs: 5, name: `p${pid}`, user: null, state: "S", cpu: cpuUsed, memoryBytes, memory: 1,
    readBytesPerSec: null, writeBytesPerSec: written, container: null, command: null, ...more,
  });
  const data = {
    total: 1312, running: 2, threads: 1,
    items: [task(1, null, 3, 5), task(2, 187.44, 2, null, { state: "D", container: "4c01db0b339c" }), task(3, 1, 9, 70)],
  };
  assert.deepEqual(keys(taskRows(data, "cpu")), ["2 5", "3 5", "1 5"]);
  assert.deepEqual(keys(taskRows(data, "memory")), ["3 5", "1 5", "2 5"]);
  assert.deepEqual(keys(taskRows(data, "io")), ["3 5", "1 5", "2 5"]);
  const [first] = taskRows(data, "cpu");
  assert.deepEqual(texts(first), ["p2", "", "187.4 %", "2 B", "–"]);
  assert.deepEqual([first.cells[0].quiet, first.cells[0].title], ["waits for disk", "p2 · process 2 · container 4c01db0b339c"]);
  assert.equal(taskRows({ items: Array.from({ length: 30 }, (_, pid) => task(pid, 1, 1, 1)) }, "cpu").length, 8);
  assert.equal(taskSummary(data), "1312 in all · 2 running · 1 thread");
});

test("containers in trouble come first, then the busiest; what is stopped is folded", () => {
  const container = (id, used, more = {}) => ({
    id, name: `c${id}`, image: "nginx:1", state: "running", status: "Up", ports: ["80/tcp"], health: null, error: null,
    cpu: { dockerPercent: used, throttledPercent: null }, memory: { used: MIB, limit: null, usage: 1 },
    network: { rxBytesPerSec: 1, txBytesPerSec: null }, io: null, ...more,
  });
  const none = { cpu: null, memory: null, network: null };
  const given = [
    container("a", 5), container("b", 90), container("c", 0, { state: "exited", ...none }),
    container("d", 0, { health: "unhealthy" }), container("e", 1, { memory: { used: 99, limit: 100, usage: 99 } }),
    container("f", 1, { cpu: { dockerPercent: 1, throttledPercent: 30 } }), container("g", 1, { state: "restarting", ...none }),
    container("h", 2, { error: "timeout" }), container("i", 0.1),
  ];
  const { shown, folded, name } = containerRows(given, []);
  assert.deepEqual(keys(shown), ["d", "e", "f", "g", "h", "b", "a"]);
  assert.deepEqual(shown.map(({ cells }) => cells[0].quiet), ["unhealthy", "memory full", "held back", "restarting", "not measured", "", ""]);
  assert.deepEqual(keys(folded), ["i", "c"]);
  assert.equal(name, "1 more, 1 stopped");
  assert.deepEqual(texts(folded[1]), ["cc", "–", "–", "–", "–"]);
  assert.equal(containerSummary(given), "7 of 9 running");
});

// Small things

test("what Pulsewire costs is said as far as it is known", () => {
  const own = { cpu: 0.94, rssBytes: 48 * MIB, collectMs: 3.14, clients: 1, dropped: 2, lagMs: 1200 };
  assert.equal(costOf(own), "0.9 % of a core · 48 MiB · reading takes 3.1 ms · late by 1.2 s at most · 1 client · 2 messages left out for slow readers");
  assert.equal(costOf({ cpu: null, rssBytes: null, collectMs: null, clients: null, dropped: null, lagMs: null }), "");
  assert.equal(costOf(undefined), "");
});

test("groups that cannot be read are named", () => {
  assert.equal(errorsOf([{ group: "network", code: "EACCES" }, { group: "swap", code: "TIMEOUT" }]), "Cannot be read at present: network (EACCES), swap (TIMEOUT)");
  assert.equal(errorsOf([]), "");
  assert.equal(errorsOf(null), "");
});

test("figures take little room, and what is not known is never 0", () => {
  assert.deepEqual([0, 999, 1000, 1023, 9.9 * 1024, 10.4 * 1024, 1e6, 2 ** 62].map(size), [
    "0 B", "999 B", "1.0 KiB", "1.0 KiB", "9.9 KiB", "10 KiB", "977 KiB", "4096 PiB",
  ]);
  assert.deepEqual([null, undefined].map(size), ["–", "–"]);
  assert.deepEqual([rate(2048), rate(null), percent(37.6), percent(null), fine(0.04), fine(null)], ["2.0 KiB/s", "–", "38 %", "–", "0.0 %", "–"]);
  assert.deepEqual([null, 0.26, 21.4, 1500].map(latency), ["–", "0.3 ms", "21 ms", "1.5 s"]);
  assert.deepEqual([count(1, "fan"), count(2, "fan"), count(2, "process", "processes")], ["1 fan", "2 fans", "2 processes"]);
  assert.deepEqual([0, 65_537, 3 * MIB].map(edgeOf), [65_536, 131_072, 4 * MIB]);
});
