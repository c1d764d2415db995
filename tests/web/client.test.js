import assert from "node:assert/strict";
import { test } from "node:test";

import { Client } from "../../app/web/client/client.js";

/** A client whose feed is played by the test. */
function stage() {
  const calls = [];
  const env = { now: () => env.at, at: 1000, page: undefined };
  let emit;
  const feed = Object.fromEntries(
    ["start", "subscribe", "unsubscribe", "visible", "check", "close"].map((name) => [
      name,
      (...given) => calls.push([name, ...given]),
    ]),
  );
  const client = new Client((given) => {
    emit = given;
    return feed;
  }, env);
  return { client, calls, env, emit: (event) => emit(event) };
}

const message = (seq, intervalMs = 1000, type = "metrics") => ({ type, cursor: `a:${seq}`, intervalMs, data: {} });

test("it shows what its feed says", () => {
  const { client, emit, calls } = stage();
  const told = [];
  for (const type of ["message", "history", "gap", "error", "status", "transport"]) {
    client.addEventListener(type, ({ detail }) => told.push([type, detail]));
  }
  assert.deepEqual([client.status, client.transport, client.error, client.info], ["connecting", null, null, null]);
  assert.equal(client.latest("metrics"), null);
  emit({ kind: "info", info: { type: "connected" } });
  emit({ kind: "transport", transport: "sse" });
  emit({ kind: "status", status: "connected", error: null });
  emit({ kind: "status", status: "connected", error: null });
  emit({ kind: "message", message: message(1) });
  emit({ kind: "gap", message: { type: "gap" } });
  emit({ kind: "history", message: { type: "history" } });
  emit({ kind: "error", message: { type: "error" } });
  assert.deepEqual(told, [
    ["transport", "sse"],
    ["status", { status: "connected", error: null }],
    ["message", message(1)],
    ["gap", { type: "gap" }],
    ["history", { type: "history" }],
    ["error", { type: "error" }],
  ]);
  assert.deepEqual([client.status, client.transport, client.info], ["connected", "sse", { type: "connected" }]);
  assert.deepEqual(client.latest("metrics"), message(1));
  emit({ kind: "status", status: "reconnecting", error: "gone" });
  assert.equal(client.error, "gone");
  assert.deepEqual(calls, [["start"]]);
});

test("data is stale after two intervals and 2 s, by its own clock", () => {
  const { client, emit, env } = stage();
  assert.deepEqual([client.ageMs, client.stale], [null, true]);
  emit({ kind: "message", message: message(1, 60_000, "containers") });
  env.at += 100_000;
  assert.equal(client.stale, false);
  emit({ kind: "message", message: message(2) });
  env.at += 4000;
  assert.deepEqual([client.ageMs, client.stale], [4000, false]);
  env.at += 1;
  assert.equal(client.stale, true);
  emit({ kind: "message", message: message(3), age: 3000 });
  assert.deepEqual([client.ageMs, client.stale], [3000, false]);
});

test("subscriptions go to the feed, with what was not said", () => {
  const { client, calls } = stage();
  client.subscribe("metrics");
  client.subscribe("containers", { interval: 1000, history: 3 });
  client.unsubscribe("metrics");
  assert.deepEqual(calls.slice(1), [
    ["subscribe", "metrics", { interval: 5000, detail: "standard", history: 0 }],
    ["subscribe", "containers", { interval: 1000, detail: "standard", history: 3 }],
    ["unsubscribe", "metrics"],
  ]);
});

test("a loop has each message, and ends when it is left or the client closed", async () => {
  const { client, emit, calls } = stage();
  const loop = client[Symbol.asyncIterator]();
  const first = loop.next();
  emit({ kind: "message", message: message(1) });
  emit({ kind: "message", message: message(2) });
  assert.deepEqual([(await first).value.cursor, (await loop.next()).value.cursor], ["a:1", "a:2"]);
  const last = loop.next();
  client.close();
  assert.equal((await last).done, true);
  assert.equal(client.status, "disconnected");
  assert.deepEqual(calls.at(-1), ["close"]);
});

test("a loop that is too slow loses the oldest", async () => {
  const { client, emit } = stage();
  const loop = client[Symbol.asyncIterator]();
  const first = loop.next();
  for (let seq = 1; seq <= 1500; seq += 1) emit({ kind: "message", message: message(seq) });
  assert.equal((await first).value.cursor, "a:501");
  await loop.return();
});

test("a page that is hidden, shown or brought back is told to the feed", () => {
  const page = new EventTarget();
  page.document = new EventTarget();
  page.document.visibilityState = "hidden";
  const calls = [];
  const feed = new Proxy({}, { get: (_, name) => (...given) => calls.push([name, ...given]) });
  const client = new Client(() => feed, { now: () => 0, page });
  page.document.visibilityState = "visible";
  page.document.dispatchEvent(new Event("visibilitychange"));
  page.dispatchEvent(new Event("pageshow"));
  page.dispatchEvent(new Event("online"));
  assert.deepEqual(calls, [["start"], ["visible", false], ["visible", true], ["check"], ["check"]]);
  client.close();
  page.dispatchEvent(new Event("pageshow"));
  assert.deepEqual(calls.at(-1), ["close"]);
});
