// @ts-check
/** The dashboard: one client, four panels, and a section for each further channel. */

import { connect } from "../client/pulsewire.js";
import { Channels } from "./channels.js";
import { Connection, isLate } from "./connection.js";
import { duration } from "./figures.js";
import { firstLook } from "./first.js";
import { IntervalSwitch } from "./interval.js";
import { METRICS } from "./metrics.js";
import { byId, say } from "./page.js";
import { Panel } from "./panel.js";
import { Series } from "./series.js";
import { pointsOf, spanOf } from "./span.js";

const series = new Series();
const panels = Object.entries(METRICS).map(([id, metric]) => new Panel(byId(id), metric));
const choice = new IntervalSwitch(byId("interval"), follow);
const client = connect({ channels: [{ channel: "metrics", ...wanted(choice.interval) }] });
const connection = new Connection(client);
const channels = new Channels(client);
/** @type {typeof client.info} */
let info = null;
/** When the newest figures came, by this machine's clock; other channels do not count. */
let takenAt = NaN;
let painted = false;

/** @param {number} interval in milliseconds */
function wanted(interval) {
  return { interval, detail: "standard", history: pointsOf(interval) };
}

/** @param {number} interval in milliseconds */
function follow(interval) {
  client.subscribe("metrics", wanted(interval));
  channels.setInterval(interval);
}

/** Take in what a server says of itself when it is met. */
function meet() {
  if (!client.info || client.info === info) return;
  info = client.info;
  say(byId("version"), `Pulsewire ${info.version}`);
  const others = info.channels.filter((/** @type {string} */ name) => name !== "metrics");
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
  if (gap.channel === "metrics") series.push(gap);
});
on("message", (message) => {
  if (message.type !== "metrics") return channels.show(message);
  series.push(message);
  // Another tab may have had it for a while.
  takenAt = performance.now() - (client.ageMs ?? 0);
  connection.refusal = "";
  draw();
});
on("error", ({ channel, message }) => {
  if (!channels.refuse(channel, message)) connection.refusal = message;
  tell();
});
firstLook(wanted(choice.interval)).then((messages) => {
  // The stream may have been faster.
  if (series.newest || !messages.length) return;
  series.fill(messages);
  takenAt = performance.now();
  draw();
});
on("status", tell);
on("transport", tell);
document.addEventListener("visibilitychange", draw);
setInterval(() => (isLate(ageMs(), series.intervalMs) ? draw() : tell()), 1000);
