import assert from "node:assert/strict";
import { test } from "node:test";

import { Feed } from "../../app/web/client/feed.js";
import { World, feedIn, seqs } from "./world.js";

/** Every message of the channel's first to its last came, in order, or lies in a gap. */
function complete({ messages, gaps }, step = 2) {
  const came = seqs(messages);
  const ends = gaps.map(({ to }) => Number(to.split(":")[1]));
  came.slice(1).forEach((seq, index) => {
    assert.ok(seq - came[index] === step || ends.includes(seq), `${came[index]}, then ${seq}`);
  });
}

const blocked = { websocket: "refused", sse: "refused", longpoll: "refused" };

for (const [what, path, transports, within, others] of [
  ["everything works", {}, "websocket", [0, 100], { sse: 0, longpoll: 0, http: 0 }],
  ["WebSocket is refused", { websocket: "refused" }, "sse", [0, 200], { longpoll: 0 }],
  ["WebSocket opens, then is silent", { websocket: "silent" }, "sse", [2500, 2700], { longpoll: 0 }],
  ["WebSocket hangs", { websocket: 1e9 }, "sse", [2500, 2700], { longpoll: 0 }],
  ["WebSocket takes 3 s", { websocket: 3000 }, "websocket", [3000, 3200], { longpoll: 0 }],
  ["SSE is held back", { websocket: "refused", sse: "buffered" }, "longpoll", [4000, 4200], {}],
  ["WebSocket is silent and SSE held back", { websocket: "silent", sse: "buffered" }, "longpoll", [6500, 6900], {}],
  ["all is refused but polls", { websocket: "refused", sse: "refused" }, "longpoll", [0, 300], {}],
  ["all is silent but polls", { websocket: "silent", sse: "silent" }, "longpoll", [6500, 6900], {}],
]) {
  test(`where ${what}, ${transports} it is`, async () => {
    const world = new World();
    await world.pass(5000);
    const beganAt = world.clock.now;
    Object.assign(world.path, path);
    const { feed, told } = await feedIn(world, Feed);
    await world.pass(20_000);
    const [name, at] = told.transports.at(-1);
    assert.equal(name, transports);
    assert.ok(at - beganAt >= within[0] && at - beganAt <= within[1], `after ${at - beganAt} ms`);
    for (const [other, count] of Object.entries(others)) assert.equal(world.count(other), count, other);
    assert.ok(told.messages.length >= 13);
    complete(told);
    feed.close();
  });
}

test("where only plain polling works, polling it is, if it may be", async () => {
  const world = new World();
  await world.pass(5000);
  Object.assign(world.path, blocked);
  const { feed, told } = await feedIn(world, Feed, { transports: ["websocket", "sse", "longpoll", "polling"] });
  await world.pass(5000);
  assert.equal(told.transports.at(-1)[0], "polling");
  assert.ok(told.messages.length >= 4);
  feed.close();
});

for (const blackhole of [false, true]) {
  test(`a server that ${blackhole ? "does not answer" : "is down"} demotes nothing`, async () => {
    const world = new World();
    world.server.stop();
    world.blackhole = blackhole;
    const { feed, told } = await feedIn(world, Feed);
    await world.pass(120_000);
    assert.deepEqual(told.transports, []);
    assert.equal(world.count("sse") + world.count("longpoll"), 0);
    assert.ok(world.count("websocket") >= 5);
    world.server.start();
    world.blackhole = false;
    await world.pass(45_000);
    assert.deepEqual(told.transports.map(([name]) => name), ["websocket"]);
    assert.equal(told.statuses.at(-1), "connected");
    feed.close();
  });
}

for (const [name, path] of [
  ["websocket", {}],
  ["sse", { websocket: "refused" }],
  ["longpoll", { websocket: "refused", sse: "refused" }],
]) {
  for (const downMs of [0, 50, 3000, 60_000]) {
    test(`a restart of ${downMs} ms leaves a client on ${name}`, async () => {
      const world = new World();
      Object.assign(world.path, path);
      await world.pass(2000);
      const { feed, told } = await feedIn(world, Feed);
      await world.pass(5000);
      assert.equal(told.transports.at(-1)[0], name);
      world.server.stop();
      await world.pass(downMs);
      world.server.start();
      await world.pass(40_000);
      const used = told.transports.map(([used]) => used).filter(Boolean);
      assert.deepEqual(new Set(used), new Set([name]));
      assert.deepEqual(told.gaps.map(({ reason }) => reason), ["epoch_changed"]);
      assert.ok(told.messages.at(-1).cursor.startsWith("b:"));
      feed.close();
    });
  }
}

test("a server that says when to come back is obeyed, on every transport", async () => {
  for (const path of [{}, { websocket: "refused" }, { websocket: "refused", sse: "refused" }]) {
    const world = new World();
    Object.assign(world.path, path);
    await world.pass(2000);
    const { feed, told } = await feedIn(world, Feed);
    await world.pass(3500);
    world.server.drain(7000);
    const before = world.server.asked.length;
    world.server.start();
    await world.pass(6900);
    feed.check();
    await world.pass(50);
    assert.equal(world.server.asked.length, before);
    await world.pass(500);
    assert.equal(told.statuses.at(-1), "connected");
    feed.close();
  }
});

test("what worked is remembered for 30 minutes, and forgotten with the network", async () => {
  const world = new World();
  world.path.websocket = "silent";
  await world.pass(2000);
  const first = await feedIn(world, Feed);
  await world.pass(4000);
  first.feed.close();
  const begun = async () => {
    const { feed, told } = await feedIn(world, Feed);
    const at = world.clock.now;
    await world.pass(4000);
    feed.close();
    return told.transports[0][1] - at;
  };
  assert.ok((await begun()) < 100);
  world.clock.skew += 31 * 60_000;
  assert.ok((await begun()) >= 2500);
  const { feed } = await feedIn(world, Feed);
  world.networkChanged();
  feed.close();
  assert.ok((await begun()) >= 2500);
});

test("the better transport is tried again without a break in the stream", async () => {
  const world = new World();
  world.path.websocket = "refused";
  await world.pass(2000);
  const { feed, told } = await feedIn(world, Feed);
  await world.pass(10_000);
  world.path.websocket = "ok";
  await world.pass(60_000);
  assert.deepEqual(told.transports.map(([name]) => name), ["sse", "websocket"]);
  assert.equal(world.server.sessions.size, 1);
  complete(told);
  assert.ok(told.messages.length >= 69);
  feed.close();
});

test("a better event stream takes over from a long-poll once it is in time", async () => {
  const world = new World();
  Object.assign(world.path, { websocket: "refused", sse: "buffered" });
  await world.pass(2000);
  const { feed, told } = await feedIn(world, Feed);
  await world.pass(50_000);
  assert.deepEqual(told.transports.map(([name]) => name), ["longpoll"]);
  world.path.sse = "ok";
  await world.pass(200_000);
  assert.deepEqual(told.transports.map(([name]) => name), ["longpoll", "sse"]);
  complete(told);
  assert.ok(told.messages.length >= 245);
  feed.close();
});

test("an event stream that is held back later is found out by a long-poll beside it", async () => {
  const world = new World();
  world.path.websocket = "refused";
  await world.pass(2000);
  const { feed, told } = await feedIn(world, Feed);
  await world.pass(10_000);
  world.path.sse = "buffered";
  await world.pass(6000);
  assert.equal(told.transports.at(-1)[0], "longpoll");
  complete(told);
  feed.close();
});

test("a source that has nothing to say does not put its event stream in the wrong", async () => {
  const world = new World();
  world.path.websocket = "refused";
  await world.pass(2000);
  const { feed, told } = await feedIn(world, Feed);
  await world.pass(5000);
  world.server.silent.add("metrics");
  await world.pass(100_000);
  world.server.silent.clear();
  await world.pass(10_000);
  assert.deepEqual(told.transports.map(([name]) => name), ["sse"]);
  assert.deepEqual(told.statuses, ["connected"]);
  feed.close();
});

test("a transport that keeps breaking while plain requests work is left", async () => {
  const world = new World();
  await world.pass(2000);
  const { feed, told } = await feedIn(world, Feed);
  for (let life = 0; life < 3; life += 1) {
    await world.pass(6000);
    for (const session of [...world.server.sessions]) session.cut();
  }
  await world.pass(8000);
  assert.equal(told.transports.at(-1)[0], "sse");
  complete(told);
  feed.close();
});

for (const [name, path, cutMs] of [
  ["websocket", {}, 10_000],
  ["longpoll", { websocket: "refused", sse: "refused" }, 10_000],
]) {
  test(`the cut of a path that cuts quiet connections is learnt, on ${name}`, async () => {
    const world = new World();
    Object.assign(world.path, path);
    world.cutMs = cutMs;
    await world.pass(2000);
    const wanted = { channel: "metrics", interval: 60_000, detail: "standard", history: 0 };
    const { feed, told } = await feedIn(world, Feed, { channels: [wanted] });
    await world.pass(20_000);
    const broken = told.statuses.filter((status) => status === "reconnecting").length;
    assert.equal(broken, 1);
    await world.pass(200_000);
    assert.equal(told.statuses.filter((status) => status === "reconnecting").length, broken);
    assert.equal(told.transports.at(-1)[0], name);
    feed.close();
  });
}

test("a server that does not want the client back is not asked again", async () => {
  const world = new World();
  await world.pass(2000);
  world.closeCode = 4500;
  const { feed, told } = await feedIn(world, Feed);
  await world.pass(2000);
  world.server.stop();
  world.server.start();
  const before = world.server.asked.length;
  await world.pass(300_000);
  assert.equal(told.statuses.at(-1), "disconnected");
  assert.equal(world.server.asked.length, before);
  assert.ok(world.clock.timers < 20);
  feed.close();
});

test("a 204 means the same, other statuses mean to come back", async () => {
  for (const [status, comesBack] of [[204, false], [429, true], [503, true], [403, true]]) {
    const world = new World();
    const error = { type: "error", code: "X", message: "no", timestamp: 0 };
    const headers = { "Retry-After": "5" };
    world.answer = { sse: () => (status === 204 ? new Response(null, { status }) : Response.json(error, { status, headers })) };
    const { feed, told } = await feedIn(world, Feed, { transports: ["sse"] });
    await world.pass(4900);
    assert.equal(world.count("sse"), 1, `${status}`);
    await world.pass(10_000);
    assert.equal(world.count("sse") > 1, comesBack, `${status}`);
    assert.equal(told.statuses.at(-1), comesBack ? "connecting" : "disconnected");
    feed.close();
  }
});

test("a stream that turns the client away says for how long", async () => {
  const world = new World();
  const text = 'retry: 12000\nevent: error\ndata: {"type":"error","timestamp":0,"code":"OVERLOADED","message":"full"}\n\n';
  world.answer = { sse: () => new Response(text, { headers: { "Content-Type": "text/event-stream" } }) };
  const { feed, told } = await feedIn(world, Feed, { transports: ["sse"] });
  await world.pass(11_900);
  assert.equal(world.count("sse"), 1);
  assert.ok(told.events.some(({ kind, message }) => kind === "error" && message.message === "full"));
  world.answer = undefined;
  await world.pass(300);
  assert.equal(told.statuses.at(-1), "connected");
  feed.close();
});

test("a server that comes up between a try and the plain request after it demotes nothing", async () => {
  const world = new World();
  world.server.stop();
  world.clock.after(15, () => world.server.start());
  const { feed, told } = await feedIn(world, Feed);
  await world.pass(2000);
  assert.deepEqual(told.transports.map(([name]) => name), ["websocket"]);
  feed.close();
});

test("what has worked is given all the time of a try, when a server is slow to come back", async () => {
  const world = new World();
  await world.pass(2000);
  const { feed, told } = await feedIn(world, Feed);
  await world.pass(2000);
  world.path.websocket = 6000;
  world.server.stop();
  world.server.start();
  await world.pass(10_000);
  assert.deepEqual(told.transports.map(([name]) => name), ["websocket", null, "websocket"]);
  assert.equal(world.count("sse"), 0);
  feed.close();
});

test("a server that crashes again and again demotes nothing and teaches nothing", async () => {
  const world = new World();
  await world.pass(2000);
  const { feed, told } = await feedIn(world, Feed);
  for (let life = 0; life < 5; life += 1) {
    await world.pass(5950);
    world.server.stop();
    await world.pass(3000);
    world.server.start();
  }
  await world.pass(30_000);
  assert.deepEqual(new Set(told.transports.map(([name]) => name)), new Set(["websocket", null]));
  assert.ok(![...world.storage.values()].some((text) => text.includes("cut")));
  feed.close();
});

test("a transport that breaks now and then is kept", async () => {
  const world = new World();
  await world.pass(2000);
  const { feed, told } = await feedIn(world, Feed);
  for (const life of [6000, 6000, 40_000, 6000, 6000, 40_000]) {
    await world.pass(life);
    for (const session of [...world.server.sessions]) session.cut();
  }
  await world.pass(5000);
  assert.equal(told.transports.at(-1)[0], "websocket");
  feed.close();
});

test("a feed that is closed in the middle of its choice starts nothing more", async () => {
  const world = new World();
  world.path.websocket = "refused";
  const { feed } = await feedIn(world, Feed);
  await world.pass(15);
  feed.close();
  await world.pass(5000);
  assert.equal(world.count("sse"), 0);
  assert.equal(world.count("websocket"), 1);
});

test("an event stream that comes too late for the choice is not left open", async () => {
  const world = new World();
  Object.assign(world.path, { websocket: "refused", sse: 6000 });
  await world.pass(2000);
  const { feed, told } = await feedIn(world, Feed);
  await world.pass(6500);
  assert.equal(told.transports.at(-1)[0], "longpoll");
  assert.equal(world.server.sessions.size, 1);
  await world.pass(5000);
  complete(told);
  feed.close();
});

test("an event stream whose messages come later than those of long-poll does not take over", async () => {
  const world = new World();
  Object.assign(world.path, { websocket: "refused", sse: "refused" });
  await world.pass(2000);
  const { feed, told } = await feedIn(world, Feed);
  await world.pass(5000);
  world.path.sse = 1500;
  await world.pass(100_000);
  assert.deepEqual(told.transports.map(([name]) => name), ["longpoll"]);
  complete(told);
  feed.close();
});

test("an event stream that brings several messages at once is left", async () => {
  const world = new World();
  world.path.websocket = "refused";
  await world.pass(2000);
  const { feed, told } = await feedIn(world, Feed);
  await world.pass(10_000);
  world.path.sse = "bunched";
  await world.pass(20_000);
  assert.equal(told.transports.at(-1)[0], "longpoll");
  complete(told);
  feed.close();
});

test("a slow source is not taken for a slow event stream, and doubted less and less", async () => {
  const world = new World();
  Object.assign(world.path, { websocket: "refused", sse: 300 });
  await world.pass(2000);
  const { feed, told } = await feedIn(world, Feed);
  await world.pass(6000);
  world.server.silent.add("metrics");
  for (let turn = 0; turn < 25; turn += 1) {
    await world.pass(4000);
    world.server.silent.clear();
    world.server.publish();
    world.server.silent.add("metrics");
  }
  assert.deepEqual(told.transports.map(([name]) => name), ["sse"]);
  assert.ok(world.count("longpoll") < 12, `${world.count("longpoll")}`);
  const before = world.timersSet;
  world.server.silent.clear();
  await world.pass(10_000);
  assert.ok(world.timersSet - before < 15, "nothing is left that would have to be looked at");
  feed.close();
});

test("a trial that asked for what is wanted no more brings nothing", async () => {
  const world = new World();
  world.path.sse = "buffered";
  await world.pass(2000);
  const { feed, told } = await feedIn(world, Feed, { transports: ["sse", "websocket"] });
  await world.pass(30_000);
  assert.equal(told.transports.at(-1)[0], "websocket");
  world.path.sse = "ok";
  while (world.count("sse") < 2) await world.pass(10);
  await world.pass(50);
  feed.subscribe("metrics", { interval: 5000, detail: "standard", history: 0 });
  const before = told.messages.length;
  await world.pass(12_000);
  assert.deepEqual(new Set(told.messages.slice(before).map(({ intervalMs }) => intervalMs)), new Set([5000]));
  feed.close();
});
