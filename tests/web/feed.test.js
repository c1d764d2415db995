import assert from "node:assert/strict";
import { test } from "node:test";

import { beyond } from "../../app/web/client/cursors.js";
import { Feed } from "../../app/web/client/feed.js";
import { World, feedIn, seqs } from "./world.js";

const both = ["metrics", "containers"].map((channel) => ({ channel, interval: 1000, detail: "standard", history: 0 }));
const PATHS = { websocket: {}, sse: { websocket: "refused" }, longpoll: { websocket: "refused", sse: "refused" } };

/** @param {string} transport the best that works */
async function begin(transport, options) {
  const world = new World();
  Object.assign(world.path, PATHS[transport]);
  await world.pass(10_000);
  const { feed, told } = await feedIn(world, Feed, options);
  await world.pass(500);
  assert.equal(told.transports.at(-1)?.[0], transport);
  return { world, feed, told };
}

/** Every second number from the first to the last: there are two channels. */
function consecutive(came) {
  const [first] = came;
  assert.deepEqual(came, came.map((_, index) => first + 2 * index));
}

for (const transport of ["websocket", "sse", "longpoll"]) {
  test(`on ${transport}, messages come once, in order, and after a break from where it was`, async () => {
    const { world, feed, told } = await begin(transport, { channels: both });
    await world.pass(5000);
    for (const session of [...world.server.sessions]) session.cut();
    await world.pass(10_000);
    assert.ok(told.statuses.includes("reconnecting"));
    for (const channel of ["metrics", "containers"]) {
      assert.ok(seqs(told.messages, channel).length >= 16);
      consecutive(seqs(told.messages, channel));
    }
    assert.deepEqual(told.gaps, []);
    feed.close();
  });

  test(`on ${transport}, another feed goes on from the state of one`, async () => {
    const { world, feed, told } = await begin(transport, { channels: both });
    await world.pass(3000);
    const state = structuredClone(feed.state());
    feed.close();
    assert.equal(state.status, "connected");
    assert.equal(state.transport, transport);
    assert.equal(state.latest.metrics.cursor, told.messages.filter(({ type }) => type === "metrics").at(-1).cursor);
    assert.ok(state.ages.metrics >= 400 && state.ages.metrics <= 600);
    await world.pass(7000);
    const other = await feedIn(world, Feed, { channels: both, resume: state.cursors });
    await world.pass(3000);
    consecutive(seqs([...told.messages, ...other.told.messages]));
    other.feed.close();
  });

  test(`on ${transport}, a restart is told as a gap, then history, then the snapshot`, async () => {
    const { world, feed, told } = await begin(transport, { channels: [{ ...both[0], history: 5 }] });
    assert.deepEqual(told.events.map(({ kind }) => kind).slice(-2), ["history", "message"]);
    world.server.stop();
    world.server.start();
    const before = told.events.length;
    await world.pass(1500);
    const kinds = told.events.slice(before).map(({ kind }) => kind);
    const [gap] = kinds.flatMap((kind, index) => (kind === "gap" ? [index] : []));
    assert.deepEqual(kinds.slice(gap, gap + 3), ["gap", "history", "message"]);
    feed.close();
  });

  test(`on ${transport}, a channel that is added begins at once and disturbs no other`, async () => {
    const { world, feed, told } = await begin(transport);
    await world.pass(3000);
    feed.subscribe("containers", { interval: 5000, detail: "standard", history: 3 });
    await world.pass(300);
    assert.equal(seqs(told.messages, "containers").length, 1);
    assert.equal(told.events.filter(({ kind }) => kind === "history").length, 1);
    await world.pass(9000);
    consecutive(seqs(told.messages));
    assert.ok(seqs(told.messages).length >= 12);
    assert.ok([2, 3].includes(seqs(told.messages, "containers").length));
    feed.unsubscribe("containers");
    await world.pass(1000);
    const before = seqs(told.messages, "containers").length;
    await world.pass(9000);
    assert.equal(seqs(told.messages, "containers").length, before);
    consecutive(seqs(told.messages));
    assert.deepEqual(new Set(told.statuses), new Set(["connected"]));
    feed.close();
  });

  test(`on ${transport}, a channel that is changed begins anew`, async () => {
    const { world, feed, told } = await begin(transport);
    await world.pass(3000);
    const before = told.messages.length;
    feed.subscribe("metrics", { interval: 1000, detail: "full", history: 2 });
    await world.pass(200);
    assert.equal(told.messages.length, before + 1);
    assert.equal(told.messages.at(-1).data.detail, "full");
    assert.equal(told.messages.at(-1).cursor, told.messages.at(-2).cursor);
    feed.subscribe("metrics", { interval: 1000, detail: "full", history: 2 });
    await world.pass(200);
    assert.equal(told.messages.length, before + 1);
    feed.close();
  });

  test(`on ${transport}, what the server does not have does not keep the rest from coming`, async () => {
    const world = new World();
    Object.assign(world.path, PATHS[transport]);
    world.server.unknown.add("containers");
    await world.pass(3000);
    const { feed, told } = await feedIn(world, Feed, { channels: both });
    await world.pass(5000);
    assert.ok(seqs(told.messages).length >= 4);
    const errors = told.events.filter(({ kind }) => kind === "error");
    assert.deepEqual(errors.map(({ message }) => message.code), ["UNKNOWN_CHANNEL"]);
    feed.close();
  });

  test(`on ${transport}, a feed that nobody sees lets go, and returns with one snapshot`, async () => {
    const { world, feed, told } = await begin(transport, { channels: [{ ...both[0], history: 5 }] });
    await world.pass(3000);
    feed.visible(false);
    await world.pass(29_000);
    assert.equal(told.statuses.at(-1), "connected");
    await world.pass(100_000);
    assert.equal(told.statuses.at(-1), "disconnected");
    assert.equal(world.server.sessions.size, 0);
    const asked = world.server.asked.length;
    await world.pass(100_000);
    assert.equal(world.server.asked.length, asked);
    const before = told.events.length;
    const last = told.messages.at(-1).cursor;
    feed.visible(true);
    await world.pass(300);
    const events = told.events.slice(before).filter(({ message }) => message);
    assert.deepEqual(events.map(({ kind }) => kind), ["gap", "history", "message"]);
    assert.ok(!beyond(last, events[0].message.from));
    assert.equal(events[0].message.to, events[2].message.cursor);
    assert.equal(told.transports.at(-1)[0], transport);
    await world.pass(2000);
    consecutive(seqs(told.messages.slice(-3)));
    feed.close();
  });

  test(`on ${transport}, a feed that is closed leaves nothing`, async () => {
    const { world, feed, told } = await begin(transport);
    feed.close();
    assert.equal(told.statuses.at(-1), "disconnected");
    assert.equal(told.transports.at(-1)[0], null);
    await world.pass(100_000);
    assert.equal(world.server.sessions.size, 0);
    assert.equal(world.count("websocket") + world.count("sse") + world.count("longpoll") < 8, true);
  });
}

test("a stream that says nothing any more is dead after two heartbeats and 5 s", async () => {
  const { world, feed, told } = await begin("websocket");
  world.server.silent.add("metrics");
  await world.pass(60_000);
  assert.deepEqual(told.statuses, ["connected"]);
  const heardAt = world.clock.now;
  world.server.sessions.clear();
  await world.pass(36_000 - (heardAt % 15_000));
  await world.pass(16_000);
  const lost = told.events.find(({ kind, status }) => kind === "status" && status === "reconnecting");
  assert.ok(lost.at - heardAt > 20_000 && lost.at - heardAt < 37_000, `${lost.at - heardAt}`);
  feed.close();
});

test("timers that are throttled do not make it miss that, nor think it of a stream that lives", async () => {
  const { world, feed, told } = await begin("websocket");
  world.clock.throttle = 60_000;
  await world.pass(600_000);
  assert.deepEqual(told.statuses, ["connected"]);
  world.server.sessions.clear();
  const diedAt = world.clock.now;
  await world.pass(125_000);
  const lost = told.events.find(({ kind, status }) => kind === "status" && status === "reconnecting");
  assert.ok(lost.at - diedAt <= 121_000);
  feed.close();
});

test("a look at the wire finds out at once what throttled timers have not", async () => {
  const { world, feed, told } = await begin("sse");
  world.clock.throttle = 3_600_000;
  world.path.sse = "buffered";
  await world.pass(36_000);
  assert.equal(told.statuses.at(-1), "connected");
  feed.check();
  assert.equal(told.statuses.at(-1), "reconnecting");
  feed.close();
});

test("after a sleep, when the monotonic clock stood still, the wall clock tells", async () => {
  const { world, feed, told } = await begin("sse");
  world.clock.skew += 8 * 3_600_000;
  feed.check();
  assert.equal(told.statuses.at(-1), "reconnecting");
  await world.pass(2000);
  assert.equal(told.statuses.at(-1), "connected");
  feed.close();
});

test("a WebSocket that has died unseen is found out within seconds of a look", async () => {
  const { world, feed, told } = await begin("websocket");
  for (const session of world.server.sessions) session.send = () => {};
  feed.check();
  await world.pass(8000);
  assert.ok(told.statuses.includes("reconnecting"));
  assert.equal(told.statuses.at(-1), "connected");
  feed.close();
});

test("a look does not wait for the next try, unless the server said to", async () => {
  const { world, feed, told } = await begin("websocket");
  world.jitter = 0.999;
  world.server.stop();
  await world.pass(60_000);
  world.server.start();
  feed.check();
  await world.pass(200);
  assert.equal(told.statuses.at(-1), "connected");
  feed.close();
});

test("the token goes as a subprotocol and in a header, never into an address", async () => {
  const { world, feed } = await begin("websocket", { token: "ä/+?" });
  assert.deepEqual(world.protocols, ["pulsewire.v1", "bearer.w6QvKz8"]);
  feed.close();
  const { world: other, feed: another } = await begin("sse", { token: "secret" });
  assert.equal(other.last.headers.Authorization, "Bearer secret");
  assert.ok(!other.last.url.href.includes("secret"));
  another.close();
});

test("a gap while live is told once, and what lies in it comes no more", async () => {
  const { world, feed, told } = await begin("websocket");
  const [session] = world.server.sessions;
  const seq = world.server.seq;
  const gap = { type: "gap", channel: "metrics", reason: "slow", from: `a:${seq - 1}`, to: `a:${seq + 5}`, missed: 2 };
  session.send(gap);
  session.send(gap);
  await world.pass(5000);
  assert.equal(told.gaps.length, 2, "it may be repeated before its end has come");
  session.send(gap);
  assert.equal(told.gaps.length, 2);
  const came = seqs(told.messages);
  assert.deepEqual(came.filter((each) => each > seq && each < seq + 5), []);
  assert.ok(came.includes(seq + 5));
  feed.close();
});

test("what is on its way when a channel is changed is of no use", async () => {
  const { world, feed, told } = await begin("websocket");
  await world.pass(1495);
  const before = told.messages.length;
  feed.subscribe("metrics", { interval: 1000, detail: "full", history: 0 });
  await world.pass(1000);
  assert.deepEqual(told.messages.slice(before).map(({ data }) => data.detail), ["full"]);
  feed.close();
});

test("a poll that is not answered is given up ten seconds after its time", async () => {
  const { world, feed, told } = await begin("longpoll");
  world.path.longpoll = "silent";
  await world.pass(33_000);
  assert.equal(told.statuses.at(-1), "connected");
  await world.pass(5000);
  assert.equal(told.statuses.at(-1), "reconnecting");
  feed.close();
});

test("something that answers polls again and again with the same is not asked without end", async () => {
  const { world, feed } = await begin("longpoll");
  const cursor = `a:${world.server.seq}`;
  world.answer = { longpoll: () => Response.json({ type: "batch", timestamp: 0, cursor, resume: {}, messages: [] }) };
  const before = world.count("longpoll");
  await world.pass(10_000);
  assert.ok(world.count("longpoll") - before < 14);
  assert.equal(world.last.cache, "no-store");
  feed.close();
});

test("a channel that a server does not have may be there after its restart, or later", async () => {
  for (const channels of [both, [both[1]]]) {
    const world = new World();
    Object.assign(world.path, PATHS.sse);
    world.server.unknown.add("containers");
    await world.pass(3000);
    const { feed, told } = await feedIn(world, Feed, { channels });
    await world.pass(5000);
    assert.equal(seqs(told.messages, "containers").length, 0);
    world.server.unknown.clear();
    world.server.stop();
    world.server.start();
    await world.pass(40_000);
    if (channels === both) {
      // The first stream of the new server was still opened without it.
      for (const session of [...world.server.sessions]) session.cut();
      await world.pass(5000);
    }
    assert.ok(seqs(told.messages, "containers").length > 1);
    feed.close();
  }
});

test("what is changed while nobody looks begins anew, without a gap", async () => {
  const { world, feed, told } = await begin("websocket");
  feed.visible(false);
  await world.pass(40_000);
  feed.subscribe("metrics", { interval: 5000, detail: "standard", history: 0 });
  feed.visible(true);
  await world.pass(500);
  assert.deepEqual(told.gaps, []);
  assert.equal(told.messages.at(-1).intervalMs, 5000);
  feed.close();
});
