import assert from "node:assert/strict";
import { test } from "node:test";

import { Backoff } from "../../app/web/client/backoff.js";
import { Cursors, beyond } from "../../app/web/client/cursors.js";
import { Liveness } from "../../app/web/client/liveness.js";
import { Memory } from "../../app/web/client/memory.js";
import { Trials } from "../../app/web/client/trials.js";
import { World } from "./world.js";

test("a try waits from half a second up to ever longer, 30 s at most", () => {
  const backoff = new Backoff();
  const waited = (random) => {
    backoff.wait(100, random);
    return backoff.at - 100;
  };
  const longest = [1, 2, 3, 4, 5, 6, 7].map(() => waited(1));
  assert.deepEqual(longest, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  assert.equal(waited(0), 500);
});

test("only health of 30 s makes the waits short again", () => {
  const backoff = new Backoff();
  const ceiling = () => {
    backoff.wait(0, 1);
    return backoff.at;
  };
  ceiling();
  backoff.up(0);
  assert.equal(backoff.down(29_999), false);
  assert.equal(ceiling(), 2000);
  backoff.up(0);
  assert.equal(backoff.down(30_000), true);
  assert.equal(ceiling(), 1000);
  assert.equal(backoff.down(1e9), false);
});

test("who is in a hurry waits no longer, unless the server said for how long", () => {
  const backoff = new Backoff();
  backoff.hurry(50);
  assert.equal(backoff.at, null);
  backoff.wait(0, 1);
  backoff.hurry(50);
  assert.equal(backoff.at, 50);
  backoff.wait(0, 1, 7000);
  backoff.hurry(50);
  assert.equal(backoff.at, 7000);
});

test("a trial comes after 30 s, then ever later, 10 min at most", () => {
  const trials = new Trials();
  const pause = () => {
    trials.schedule(0);
    return [1, 2, 4, 8, 16, 20, 32].map((halves) => halves * 30_000).find((at) => trials.due(at));
  };
  const pauses = [1, 2, 3, 4, 5, 6, 7].map(() => {
    const ms = pause();
    trials.slow();
    return ms / 1000;
  });
  assert.deepEqual(pauses, [30, 60, 120, 240, 480, 600, 600]);
  trials.reset();
  assert.equal(pause(), 30_000);
  assert.equal(trials.due(1e9), false, "once for each time it was scheduled");
});

test("a cursor lies beyond another if its number is higher, or its epoch another one", () => {
  assert.ok(beyond("a:10", "a:9"));
  assert.ok(!beyond("a:9", "a:9"));
  assert.ok(!beyond("a:8", "a:9"));
  assert.ok(beyond("b:1", "a:9"));
  assert.ok(beyond("a:0", undefined));
});

test("a channel takes each message once", () => {
  const cursors = new Cursors({ metrics: "a:5" });
  assert.equal(cursors.pass("metrics", "a:5"), false);
  assert.equal(cursors.pass("metrics", "a:6"), true);
  assert.equal(cursors.pass("metrics", "a:6"), false);
  assert.equal(cursors.pass("containers", "a:1"), true);
  assert.deepEqual(JSON.parse(JSON.stringify(cursors)), { metrics: "a:6", containers: "a:1" });
});

test("a gap leads up to its end, so that it is not told again", () => {
  const cursors = new Cursors({ metrics: "a:5" });
  assert.equal(cursors.skip("metrics", "a:9"), true);
  assert.equal(cursors.get("metrics"), "a:8");
  assert.equal(cursors.pass("metrics", "a:8"), false);
  assert.equal(cursors.pass("metrics", "a:9"), true);
  assert.equal(cursors.skip("metrics", "a:9"), false);
  assert.equal(cursors.skip("metrics", "b:0"), true);
  assert.equal(cursors.get("metrics"), "a:9");
});

test("a heartbeat takes all channels of its epoch along, and never back", () => {
  const cursors = new Cursors({ metrics: "a:5", containers: "a:9", old: "b:1" });
  cursors.reach("a:7");
  cursors.reach(null);
  assert.deepEqual(cursors.toJSON(), { metrics: "a:7", containers: "a:9", old: "b:1" });
});

test("one stream of several channels starts from the lowest", () => {
  const cursors = new Cursors({ metrics: "a:10", containers: "a:9" });
  assert.equal(cursors.lowest(["metrics", "containers"]), "a:9");
  assert.equal(cursors.lowest(["metrics", "new"]), "a:10");
  assert.equal(cursors.lowest(["new"]), null);
});

test("of two epochs neither is right for both", () => {
  const cursors = new Cursors({ metrics: "a:10", containers: "b:9" });
  const since = cursors.lowest(["metrics", "containers"]);
  assert.match(since, /^[a-z0-9]{1,32}:0$/);
  assert.ok(!["a", "b"].includes(since.split(":")[0]));
});

test("a stream is dead when its limit of silence is over, by either clock", async () => {
  const world = new World();
  const liveness = new Liveness(world.env);
  liveness.limit = 35_000;
  await world.pass(34_999);
  assert.equal(liveness.dead, false);
  await world.pass(1);
  assert.equal(liveness.dead, true);
  liveness.heard();
  assert.equal(liveness.dead, false);
  assert.equal(liveness.longest, 35_000);
  world.clock.skew += 36_000;
  assert.equal(liveness.dead, true);
  liveness.heard();
  world.clock.skew -= 3_600_000;
  assert.equal(liveness.dead, false);
});

test("a stream that was asked has 5 s to answer, however often it is asked", async () => {
  const world = new World();
  const liveness = new Liveness(world.env);
  await world.pass(1000);
  liveness.suspect();
  await world.pass(4000);
  liveness.suspect();
  assert.equal(liveness.dead, false);
  await world.pass(1000);
  assert.equal(liveness.dead, true);
  liveness.heard();
  await world.pass(10_000);
  assert.equal(liveness.dead, false);
});

test("a silence that was cut is learnt, unless a longer one was not", () => {
  const world = new World();
  const memory = new Memory(world.env, "http://server:1/");
  assert.equal(memory.quiet, Infinity);
  memory.learn({ quiet: 10_000, longest: 14_000 });
  memory.learn({ quiet: 1000, longest: 100 });
  assert.equal(memory.quiet, Infinity);
  memory.learn({ quiet: 10_000, longest: 5000 });
  assert.equal(memory.quiet, 6000);
  memory.learn({ quiet: 40_000, longest: 5000 });
  assert.equal(memory.quiet, 6000);
});

test("each origin has its memory, and a broken storage is none", () => {
  const world = new World();
  new Memory(world.env, "http://server:1/a/").works("sse");
  assert.equal(new Memory(world.env, "http://server:1/b/").transport, "sse");
  assert.equal(new Memory(world.env, "http://server:2/a/").transport, undefined);
  const broken = () => {
    throw new DOMException("full");
  };
  const memory = new Memory({ ...world.env, storage: { getItem: () => "{", setItem: broken, removeItem: broken } }, "http://a/");
  memory.works("sse");
  assert.equal(memory.transport, undefined);
});
