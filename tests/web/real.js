// The client before a real server, whose address is in PULSEWIRE_URL. Without arguments it checks
// what must hold on each transport; `real.js watch TRANSPORT` tells all that happens, a line each.

import assert from "node:assert/strict";

import { connect } from "../../app/web/client/pulsewire.js";

const url = process.env.PULSEWIRE_URL;
const TRANSPORTS = ["websocket", "sse", "longpoll"];
const PATIENCE_MS = 10_000;

const seq = ({ cursor }) => Number(cursor.split(":")[1]);
const status = async () => (await fetch(new URL("api/status", `${url}/`))).json();

/** @returns {Promise<any>} the first event of that type that is as it should be */
function event(client, type, suits = () => true) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${type} came`)), PATIENCE_MS);
    client.addEventListener(type, ({ detail }) => {
      if (!suits(detail)) return;
      clearTimeout(timer);
      resolve(detail);
    });
  });
}

function open(transport, options) {
  return connect({ url, share: false, transports: [transport], interval: 1000, ...options });
}

/** The next messages of a client. */
async function some(client, count) {
  const messages = [];
  for await (const message of client) if (messages.push(message) === count) break;
  return messages;
}

async function checkStream(transport) {
  const client = open(transport, { history: 3 });
  const history = event(client, "history");
  const gaps = [];
  client.addEventListener("gap", ({ detail }) => gaps.push(detail));
  const messages = await some(client, 4);
  const seqs = [...(await history).items.filter(({ cursor }) => cursor), ...messages].map(seq);
  assert.deepEqual(seqs, [...new Set(seqs)].sort((a, b) => a - b));
  assert.deepEqual(gaps, []);
  assert.deepEqual([client.status, client.transport, client.stale, client.error], ["connected", transport, false, null]);
  assert.equal(client.latest("metrics"), messages.at(-1));
  assert.ok(Math.abs(messages.at(-1).windowMs - 1000) < 100);
  assert.equal(typeof messages[0].data.cpu.usage, "number");
  assert.equal(client.info?.protocol, transport === "longpoll" ? undefined : "pulsewire.v1");
  assert.ok((await status()).clients[transport] >= 1);
  const change = event(client, "message", ({ data }) => typeof data.cpu === "number");
  client.subscribe("metrics", { interval: 1000, detail: "simple" });
  await change;
  const refusal = event(client, "error");
  client.subscribe("nothing", {});
  assert.equal((await refusal).code, "UNKNOWN_CHANNEL");
  await some(client, 2);
  client.close();
}

/** One stream, message for message the same, though it is carried on by one after another. */
async function checkHops() {
  const reference = open("websocket");
  const all = [];
  reference.addEventListener("message", ({ detail }) => all.push(detail.cursor));
  await event(reference, "message");
  const carried = [];
  let resume;
  for (const transport of ["sse", "longpoll", "websocket", "sse"]) {
    const client = open(transport, { resume });
    client.addEventListener("gap", ({ detail }) => assert.fail(JSON.stringify(detail)));
    const messages = await some(client, 2);
    client.close();
    carried.push(...messages.map(({ cursor }) => cursor));
    resume = { metrics: carried.at(-1) };
  }
  await some(reference, 1);
  reference.close();
  // The first is a snapshot, which need not lie on the grid.
  const begin = all.indexOf(carried[1]);
  assert.deepEqual(carried.slice(1), all.slice(begin, begin + carried.length - 1));
}

/** With all transports allowed it is WebSocket, at once. */
async function checkChoice() {
  const beganAt = performance.now();
  const client = connect({ url, share: false });
  assert.equal(await event(client, "transport"), "websocket");
  assert.ok(performance.now() - beganAt < 2000);
  client.close();
}

/** Nothing is left behind on the server. */
async function gone() {
  const deadline = performance.now() + PATIENCE_MS;
  const left = async () => Object.values((await status()).clients).some(Boolean);
  while (await left()) assert.ok(performance.now() < deadline, "connections are left");
}

function watch(transport) {
  const client = open(transport);
  for (const kind of ["message", "gap", "status", "transport"]) {
    client.addEventListener(kind, ({ detail }) => {
      console.log(JSON.stringify({ kind, ...(kind === "transport" ? { transport: detail } : detail) }));
    });
  }
}

const [mode, transport] = process.argv.slice(2);
if (mode === "watch") watch(transport);
else {
  // Held until the first sample: before it a poll is given a cursor, and with that no history.
  await fetch(new URL("api/poll", `${url}/`));
  await checkChoice();
  await Promise.all([...TRANSPORTS.map(checkStream), checkHops()]);
  await gone();
}
