import assert from "node:assert/strict";
import { test } from "node:test";

import { Cursors } from "../../app/web/client/cursors.js";
import { SseWire } from "../../app/web/client/sse.js";
import { WebSocketWire } from "../../app/web/client/websocket.js";
import { World } from "./world.js";

const CONNECTED = { type: "connected", heartbeatMs: 15000, protocol: "pulsewire.v1", tickMs: 1000 };
const METRICS = { channel: "metrics", interval: 1000, detail: "standard", history: 0 };
const verdict = (reason, detail = "standard") => ({
  type: "subscribed",
  channel: "metrics",
  intervalMs: 1000,
  detail,
  resume: { recovered: false, reason, missed: null },
});

/** A wire whose host and peer are played by the test. */
function stage(Kind, { free = true, fetch, cursors = {} } = {}) {
  const told = { messages: [], proven: 0, ends: [], sent: [] };
  const host = {
    base: "http://server/sub/",
    token: null,
    cursors: new Cursors(cursors),
    wanted: () => [METRICS],
    free: () => free,
    message: (_, message) => told.messages.push(message),
    proven: () => (told.proven += 1),
    ended: (_, end) => told.ends.push(end),
  };
  class WebSocket {
    readyState = 1;
    constructor(url) {
      told.url = url;
      told.socket = this;
    }
    send(text) {
      told.sent.push(JSON.parse(text));
    }
    close() {}
  }
  host.env = { ...new World().env, fetch, WebSocket };
  const wire = new Kind("x", host);
  const say = (message) => told.socket.onmessage({ data: JSON.stringify(message) });
  wire.open();
  return { wire, told, say };
}

test("a WebSocket works after connected and an answer, not before", () => {
  const { told, say } = stage(WebSocketWire);
  assert.equal(told.url, "ws://server/sub/api/ws");
  told.socket.onopen();
  assert.deepEqual(told.sent, [{ type: "subscribe", ...METRICS }, { type: "ping" }]);
  say({ type: "error", code: "OVERLOADED", message: "full" });
  say(CONNECTED);
  say(verdict("first"));
  assert.equal(told.proven, 0);
  say({ type: "heartbeat", cursor: "a:1" });
  assert.equal(told.proven, 1);
});

test("a WebSocket beside another wire is only asked whether it works", () => {
  const { told } = stage(WebSocketWire, { free: false });
  told.socket.onopen();
  assert.deepEqual(told.sent, [{ type: "ping" }]);
});

test("until a subscription is answered, data and cursors are those of another", () => {
  const { wire, told, say } = stage(WebSocketWire);
  told.socket.onopen();
  say(CONNECTED);
  wire.host.cursors.pass("metrics", "a:5");
  wire.subscribe("metrics");
  assert.deepEqual(told.sent.at(-1), { type: "subscribe", ...METRICS, since: "a:5" });
  say(verdict("first"));
  say({ type: "metrics", cursor: "a:9" });
  say({ type: "heartbeat", cursor: "a:9" });
  assert.deepEqual(told.messages.slice(-2), [verdict("first"), { type: "heartbeat", cursor: null }]);
  say(verdict("ok", "full"));
  say({ type: "metrics", cursor: "a:9" });
  say(verdict("ok"));
  say({ type: "metrics", cursor: "a:6" });
  say({ type: "heartbeat", cursor: "a:9" });
  assert.deepEqual(told.messages.slice(-2), [
    { type: "metrics", cursor: "a:6" },
    { type: "heartbeat", cursor: "a:9" },
  ]);
});

test("an interval that the server rounds up is answered all the same", () => {
  const { told, say } = stage(WebSocketWire);
  told.socket.onopen();
  say({ ...CONNECTED, tickMs: 700 });
  say({ ...verdict("first"), intervalMs: 1400 });
  say({ type: "metrics", cursor: "a:1" });
  assert.equal(told.messages.at(-1).type, "metrics");
});

test("a subscription that was wrong is told as that of its channel", () => {
  const { told, say } = stage(WebSocketWire);
  told.socket.onopen();
  say(CONNECTED);
  say({ type: "error", code: "INVALID_MESSAGE", message: "detail: no" });
  assert.equal(told.messages.at(-1).channel, "metrics");
});

test("a WebSocket that has to slow down comes back later", () => {
  const { told, say } = stage(WebSocketWire);
  told.socket.onopen();
  say(CONNECTED);
  say({ type: "error", code: "RATE_LIMITED", message: "slower" });
  assert.deepEqual(told.ends, [{ error: "slower", spoken: true }]);
});

test("a server that speaks only the heritage dialect over WebSocket is of no use there", () => {
  const { told, say } = stage(WebSocketWire);
  told.socket.onopen();
  say({ ...CONNECTED, protocol: "heritage" });
  assert.equal(told.ends.length, 1);
  assert.ok(!told.ends[0].spoken);
});

test("a WebSocket that the browser does not allow has failed", async () => {
  const { wire, told } = stage(WebSocketWire);
  wire.host.env.WebSocket = class {
    constructor() {
      throw new DOMException("not allowed", "SecurityError");
    }
  };
  const timers = [];
  wire.host.env.setTimeout = (run) => timers.push(run);
  wire.open();
  timers[0]();
  assert.match(told.ends[0].error, /not allowed/);
});

for (const [code, spoken, final] of [
  [1000, false, false],
  [1001, false, false],
  [1006, false, false],
  [1011, false, false],
  [1012, true, false],
  [4008, true, false],
  [4499, true, false],
  [4500, true, true],
  [4999, true, true],
]) {
  test(`close code ${code} ${final ? "is the last word" : spoken ? "is a word of the server" : "is a broken path"}`, () => {
    const { told } = stage(WebSocketWire);
    told.socket.onclose({ code, reason: "because" });
    assert.deepEqual(told.ends, [{ error: "because", spoken, final }]);
  });
}

/** An event stream that is cut into pieces of so many bytes. */
async function read(text, size) {
  const bytes = new TextEncoder().encode(text);
  const body = new ReadableStream({
    start(controller) {
      for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
      controller.close();
    },
  });
  const headers = { "Content-Type": "text/event-stream" };
  const { told } = stage(SseWire, { fetch: async () => new Response(body, { headers }) });
  while (!told.ends.length) await new Promise((resolve) => setImmediate(resolve));
  return told;
}

test("an event stream is read, however it is cut and whatever is in it", async () => {
  const messages = [CONNECTED, verdict("first"), { type: "metrics", text: "ä\u2028data: x" }];
  const events = messages.map((message, index) => `event: x\nid: ${index}\ndata: ${JSON.stringify(message)}\n\n`);
  const text = `retry: 3000\n: comment\n\n${events.join("")}data: {"type":"cut`;
  for (const given of [text, text.replaceAll("\n", "\r\n")]) {
    for (const size of [1, 7, 1e6]) {
      const told = await read(given, size);
      assert.deepEqual(told.messages, messages);
      assert.equal(told.proven, 1);
      assert.deepEqual(told.ends, [{ error: "the stream ended", spoken: false }]);
    }
  }
});

test("an event stream that only says connected has not shown that it works", async () => {
  const told = await read(`data: ${JSON.stringify(CONNECTED)}\n\n`, 1e6);
  assert.equal(told.proven, 0);
});

test("an answer of another kind is no event stream", async () => {
  for (const [answer, end] of [
    [new Response("<html>", { headers: { "Content-Type": "text/html" } }), { error: "unexpected answer (HTTP 200)", final: false }],
    [new Response("down", { status: 502 }), { error: "unexpected answer (HTTP 502)", final: false }],
    [new Response(null, { status: 204 }), { error: "unexpected answer (HTTP 204)", final: true }],
  ]) {
    const { told } = stage(SseWire, { fetch: async () => answer });
    while (!told.ends.length) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(told.ends, [end]);
  }
});
