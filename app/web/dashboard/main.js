// @ts-check
/** The dashboard: one client, a panel for each group of figures, a section for each further channel. */

import { connect } from "../client/pulsewire.js";
import { Bottleneck } from "./bottleneck.js";
import { Channels } from "./channels.js";
import { Connection, isLate } from "./connection.js";
import { Details } from "./details.js";
import { duration } from "./figures.js";
import { firstLook } from "./first.js";
import { Flow, FLOWS } from "./flow.js";
import { IntervalSwitch } from "./interval.js";
import { METRICS } from "./metrics.js";
import { byId, say } from "./page.js";
import { Panel } from "./panel.js";
import { Series } from "./series.js";
import { pointsOf, spanOf } from "./span.js";
import { Tenants } from "./tenants.js";

/** Messages in full detail are large: of the past so many are enough, the rest comes in less. */
const FULL_HISTORY = 60;
/** What a gap lacks that is none of the server's own can be asked for. */
const HOLES = ["source", "suspend", "overload", "idle"];
/** So long further channels wait for the first figures. */
const PATIENCE_MS = 2000;

const series = new Series();
const panels = Object.entries(METRICS).map(([id, metric]) => new Panel(byId(id), metric));
const flows = Object.entries(FLOWS).map(([id, traffic]) => new Flow(byId(id), traffic));
const details = new Details();
const bottleneck = new Bottleneck();
/** What of each message is wanted, as far as the server has it. */
let detail = "full";
const choice = new IntervalSwitch(byId("interval"), follow);
const client = connect({ channels: [{ channel: "metrics", ...wanted(choice.interval) }] });
const connection = new Connection(client);
const channels = new Channels(client);
const tenants = new Tenants(client);
/** @type {typeof client.info} */
let info = null;
/** @type {number | null} when a server was met first */
let metAt = null;
/** When the newest figures came, by this machine's clock; other channels do not count. */
let takenAt = NaN;
let painted = false;
/** Whether there is more of the past to be had. */
let lacking = false;

/** @param {number} interval in milliseconds */
function wanted(interval) {
  const points = pointsOf(interval);
  return { interval, detail, history: detail === "full" ? Math.min(points, FULL_HISTORY) : points };
}

/** @param {number} interval in milliseconds */
function follow(interval) {
  client.subscribe("metrics", wanted(interval));
  channels.setInterval(interval);
  tenants.setInterval(interval);
  look();
}

/** Ask for the past: it is there before a transport has proven itself, and goes further back. */
async function look() {
  const { interval } = choice;
  const history = pointsOf(interval);
  const messages = await firstLook({ interval, detail: "standard", history });
  if (interval !== choice.interval || !messages.length) return;
  // The stream may have been faster, and what it brings says more.
  const newest = series.intervalMs === interval ? series.newest : null;
  if (!newest) takenAt = performance.now();
  series.fill(messages.filter(({ timestamp }) => timestamp <= (newest?.at ?? Infinity)));
  draw();
}

/** The server has no more than that: an older one than the page. */
function settle() {
  detail = "standard";
  document.body.classList.add("plain");
  client.subscribe("metrics", wanted(choice.interval));
}

/** Take in what a server says of itself when it is met. */
function meet() {
  if (!client.info || client.info === info) return;
  metAt ??= performance.now();
  const offered = /** @type {string[]} */ (client.info.channels);
  say(byId("version"), `Pulsewire ${client.info.version}`);
  tenants.offer(offered);
  // To want more may take another connection, which is to go on where this one has come to.
  if (!client.latest("metrics") && performance.now() < metAt + PATIENCE_MS) return;
  info = client.info;
  tenants.follow(offered, choice.interval);
  const others = offered.filter((name) => name !== "metrics" && !tenants.names.includes(name));
  channels.follow(others, choice.interval);
}

function ageMs() {
  return Number.isNaN(takenAt) ? null : performance.now() - takenAt;
}

/** Show what the connection is like, which has a say in how the figures look. */
function tell() {
  meet();
  connection.show(ageMs(), series.intervalMs);
}

function draw() {
  tell();
  const newest = series.newest;
  // Nothing is drawn while nobody looks.
  if (!newest || document.hidden) return;
  const { hostname, uptime } = newest.data;
  say(byId("host"), hostname);
  say(byId("uptime"), `up ${duration(uptime)}`);
  document.title = `${hostname} · Pulsewire`;
  // The right edge is the newest point, but time goes on when data is late.
  const age = ageMs() ?? 0;
  const end = newest.at + (isLate(age, series.intervalMs) ? age : 0);
  const time = spanOf(series.intervalMs);
  series.forget(end - time.span - series.intervalMs);
  const lines = series.lines();
  for (const panel of panels) panel.show(lines, { ...time, end });
  for (const flow of flows) flow.show(series, { ...time, end });
  const { data } = newest;
  if (data.network) details.show(data);
  tenants.draw();
  bottleneck.show({ data, seconds: series.intervalMs / 1000, processes: tenants.processes });
  if (!painted) requestAnimationFrame(() => setTimeout(markPainted));
  painted = true;
}

/** A task that is begun in a frame runs when that frame has been painted. */
function markPainted() {
  performance.mark("first-chart");
}

/**
 * @param {string} event of the client
 * @param {(detail: any) => void} take
 */
function on(event, take) {
  client.addEventListener(event, (told) => take(/** @type {CustomEvent} */ (told).detail));
}

on("history", ({ channel, items }) => {
  if (channel === "metrics") series.fill(items);
});
on("gap", (gap) => {
  if (gap.channel !== "metrics") return;
  series.push(gap);
  lacking ||= !HOLES.includes(gap.reason);
});
on("message", (message) => {
  if (message.type !== "metrics") return tenants.take(message) || channels.show(message);
  series.push(message);
  if (lacking) look();
  lacking = false;
  // Another tab may have had it for a while.
  takenAt = performance.now() - (client.ageMs ?? 0);
  connection.refusal = "";
  draw();
});
on("error", ({ code, channel, message }) => {
  // It names the channel in words alone.
  const isRefused = code === "INVALID_MESSAGE" && /^detail: .* channel metrics/.test(message);
  if (isRefused && detail === "full") settle();
  else if (!tenants.refuse(channel, message) && !channels.refuse(channel, message)) {
    connection.refusal = message;
  }
  tell();
});
look();
on("status", tell);
on("transport", tell);
document.addEventListener("visibilitychange", draw);
setInterval(() => (isLate(ageMs(), series.intervalMs) ? draw() : tell()), 1000);
