// The dashboard's parts that need no page.

import assert from "node:assert/strict";
import { test } from "node:test";

import { outline, range } from "../../app/web/dashboard/chart.js";
import { isLate, stateOf } from "../../app/web/dashboard/connection.js";
import { age, duration, share } from "../../app/web/dashboard/figures.js";
import { Series } from "../../app/web/dashboard/series.js";
import { pointsOf, spanOf } from "../../app/web/dashboard/span.js";
import { plan } from "../../app/web/dashboard/tree.js";

const GAP = { type: "gap", timestamp: 0 };
const value = (data) => data;
const message = (second, intervalMs = 1000) => {
  return { type: "metrics", timestamp: second * 1000, intervalMs, data: second };
};
const drawn = (series) => series.lines().map((line) => line.map((point) => point.data));

function seriesOf(...items) {
  const series = new Series();
  series.fill(items);
  return series;
}

test("points that follow each other are one line", () => {
  assert.deepEqual(drawn(seriesOf(message(1), message(2), message(3.4))), [[1, 2, 3.4]]);
});

test("a declared gap ends a line, wherever it stands", () => {
  const series = seriesOf(GAP, message(1), GAP, GAP, message(2), GAP);
  assert.deepEqual(drawn(series), [[1], [2]]);
  series.push(message(3));
  assert.deepEqual(drawn(series), [[1], [2], [3]]);
});

test("missing time ends a line", () => {
  assert.deepEqual(drawn(seriesOf(message(1), message(2), message(3.6))), [[1, 2], [3.6]]);
});

test("a new history replaces only what it covers", () => {
  const series = seriesOf(message(1), message(2), message(3));
  series.push(GAP);
  series.fill([message(3), message(4)]);
  assert.deepEqual(drawn(series), [[1, 2], [3, 4]]);
});

test("a history of nothing replaces nothing", () => {
  const series = seriesOf(message(1));
  series.fill([]);
  series.fill([GAP]);
  assert.deepEqual(drawn(series), [[1]]);
});

test("another interval begins anew", () => {
  const series = seriesOf(message(1), message(2));
  series.push(message(5, 5000));
  assert.deepEqual(drawn(series), [[5]]);
  assert.equal(series.intervalMs, 5000);
  assert.equal(series.newest.data, 5);
});

test("a look at the past keeps what has come since, and what says more", () => {
  const series = seriesOf(message(1), message(2));
  const full = { cpu: 3, network: 3 };
  series.push({ ...message(3), data: full });
  series.push({ ...message(4), data: { cpu: 4, network: 4 } });
  series.fill([1, 2, 3].map((second) => ({ ...message(second), data: { cpu: second } })));
  assert.deepEqual(drawn(series), [[{ cpu: 1 }, { cpu: 2 }, full, { cpu: 4, network: 4 }]]);
  assert.equal(series.newest.at, 4000);
  const lines = series.lines(({ network }) => network);
  assert.deepEqual(lines.map((line) => line.map(({ at }) => at)), [[3000, 4000]]);
});

test("where a figure is not known there is a hole", () => {
  const series = seriesOf(...[1, null, 3, 4].map((data, at) => ({ ...message(at + 1), data: { data } })));
  const lines = series.lines(({ data }) => data);
  assert.deepEqual(lines.map((line) => line.map(({ at }) => at)), [[1000], [3000, 4000]]);
});

test("what was measured before the clock was set back does not lie in the future", () => {
  const series = seriesOf(message(1), message(2), message(9), message(10));
  series.push(message(3));
  assert.deepEqual(drawn(series), [[1, 2, 3]]);
});

test("what is too old is forgotten, but never all of it", () => {
  const series = seriesOf(message(1), GAP, message(2), message(3));
  series.forget(2000);
  assert.deepEqual(drawn(series), [[2, 3]]);
  series.forget(99_000);
  assert.deepEqual(drawn(series), [[2, 3]]);
});

test("an outline has the newest at its right edge and stays on the sheet", () => {
  const lines = [
    [{ at: 0, data: 50 }],
    [
      { at: 5000, data: 0 },
      { at: 10_000, data: 120 },
    ],
  ];
  assert.deepEqual(outline(lines, value, { end: 10_000, span: 10_000, max: 100 }), {
    line: "M0.0 50.0h0M500.0 100.0L1000.0 0.0h0",
    area: "M0.0 100L0.0 50.0V100ZM500.0 100L500.0 100.0L1000.0 0.0V100Z",
    tip: "M1000.0 0.0h0",
  });
  assert.deepEqual(range(lines, value), { low: 0, high: 120 });
});

test("traffic the other way is drawn downwards from the middle", () => {
  const lines = [[{ at: 10_000, data: 50 }]];
  assert.deepEqual(outline(lines, value, { end: 10_000, span: 10_000, max: 100, zero: 50, rise: -50 }), {
    line: "M1000.0 75.0h0",
    area: "M1000.0 50L1000.0 75.0V50Z",
    tip: "M1000.0 75.0h0",
  });
});

test("the longer the interval, the further back a chart goes", () => {
  const minutes = [1000, 5000, 15_000, 60_000].map((interval) => spanOf(interval).span / 60_000);
  assert.deepEqual(minutes, [5, 15, 30, 60]);
  // The server gives at most 360.
  assert.deepEqual([1000, 5000, 15_000, 60_000].map(pointsOf), [300, 180, 120, 60]);
});

test("durations have their two greatest units", () => {
  const said = [59, 60, 3600, 3660, 86_400, 90_000, 1e8].map(duration);
  assert.deepEqual(said, ["0 min", "1 min", "1 h", "1 h 1 min", "1 d 0 h", "1 d 1 h", "1157 d 9 h"]);
});

test("data is as old as it is", () => {
  assert.deepEqual([null, 400, 600, 119_000, 120_000].map(age), [
    "no data yet",
    "0 s old",
    "1 s old",
    "119 s old",
    "2 min old",
  ]);
});

test("shares are in the unit of the whole", () => {
  assert.equal(share(512 * 2 ** 20, 2 * 2 ** 30), "0.5 of 2.0 GiB");
  assert.equal(share(0, 0), "0.0 of 0.0 B");
  assert.equal(share(2 ** 62, 2 ** 63), "4,096.0 of 8,192.0 PiB");
});

test("live is what is connected and on time", () => {
  assert.equal(stateOf("connected", 2400, 1000), "Live");
  assert.equal(stateOf("connected", 2600, 1000), "Data is late");
  assert.equal(stateOf("connected", null, 0), "Waiting for data");
  assert.equal(stateOf("reconnecting", 0, 1000), "Reconnecting");
  assert.equal(isLate(null, 0), false);
});

const leaf = (text) => ({ kind: "leaf", text });

test("an object is a list of its figures", () => {
  assert.deepEqual(plan({ loadAvg: [1.5, 12345.6789, null], readMBps: 1, ok: true, none: {} }), {
    kind: "list",
    entries: [
      ["load avg", leaf("1.5, 12,345.679, –")],
      ["read MBps", leaf("1")],
      ["ok", leaf("yes")],
      ["none", leaf("none")],
    ],
  });
});

test("records are a table of all their keys", () => {
  assert.deepEqual(plan([{ name: "web", cpu: null }, { name: "db", cpu: 1, ports: [80, 443] }]), {
    kind: "table",
    columns: [
      { name: "name", figures: false },
      { name: "cpu", figures: true },
      { name: "ports", figures: false },
    ],
    rows: [
      [leaf("web"), leaf("–"), leaf("–")],
      [leaf("db"), leaf("1"), leaf("80, 443")],
    ],
  });
});

test("items of different kinds are a numbered list", () => {
  assert.deepEqual(plan([1, { a: 2 }]), {
    kind: "list",
    entries: [
      ["0", leaf("1")],
      ["1", { kind: "list", entries: [["a", leaf("2")]] }],
    ],
  });
});

test("whatever a channel sends, the page stays small", () => {
  const many = Array.from({ length: 150 }, (_, index) => ({ index }));
  assert.equal(plan(many).rows.length, 101);
  assert.deepEqual(plan(many).rows[100], [leaf("50 more")]);
  assert.deepEqual(plan({ ...many }).entries[100], ["", leaf("50 more")]);
  assert.equal(plan("x".repeat(10_000)).text.length, 201);
  let deep = {};
  for (let level = 0; level < 1000; level += 1) deep = { deep };
  assert.match(JSON.stringify(plan(deep)), /…/);
});
