import assert from "node:assert/strict";
import { test } from "node:test";

import { Hosts } from "../../app/web/client/host.js";
import { SharedFeed } from "../../app/web/client/shared.js";
import { World, seqs } from "./world.js";

const METRICS = { channel: "metrics", interval: 1000, detail: "standard", history: 0 };
const OPTIONS = { url: "http://server/", channels: [METRICS], transports: ["websocket"], token: null };

/** Something that runs, until it is frozen or killed: a tab or a worker. */
class Process {
  frozen = false;
  dead = false;
  #backlog = [];
  #sockets = new Set();

  constructor(browser) {
    const { world } = browser;
    const at = this;
    this.browser = browser;
    this.env = {
      ...world.env,
      random: () => (browser.random += 1e-6),
      setTimeout: (run, ms) => world.clock.setTimeout(() => this.run(run), ms),
      WebSocket: class extends world.env.WebSocket {
        constructor(...given) {
          super(...given);
          at.#sockets.add(this);
        }
      },
      locks: { request: (...given) => browser.request(this, ...given), query: async () => browser.query() },
      BroadcastChannel: class {
        constructor(name) {
          Object.assign(this, { name, process: at });
          browser.channels.add(this);
        }

        postMessage(data) {
          at.run(() => browser.broadcast(this, data));
        }

        close() {
          browser.channels.delete(this);
        }
      },
      page: new EventTarget(),
      ...browser.lacks,
    };
  }

  run(task) {
    if (this.frozen) this.#backlog.push(task);
    else if (!this.dead) task();
  }

  /** Let something arrive. */
  soon(task) {
    queueMicrotask(() => this.run(task));
  }

  thaw() {
    this.frozen = false;
    for (const task of this.#backlog.splice(0)) this.run(task);
  }

  kill() {
    this.dead = true;
    for (const socket of this.#sockets) socket.close();
    this.browser.release(this);
  }
}

/** What the tabs of one browser have in common: locks, channels, a worker, and a world outside. */
class Browser {
  world = new World();
  random = 0.5;
  channels = new Set();
  worker = null;
  hosts = null;
  #locks = [];

  /** @param {object} [lacks] what it has in another form, or not: `undefined` */
  constructor(lacks) {
    this.lacks = lacks;
  }

  async tab(options = {}) {
    const process = new Process(this);
    const told = [];
    const env = { worker: () => this.#connect(process), ...process.env };
    const feed = new SharedFeed({ ...OPTIONS, ...options }, env, (event) => told.push(structuredClone(event)));
    const of = (kind) => told.filter((event) => event.kind === kind);
    const tab = { process, feed, told, of, get seqs() { return seqs(of("message").map(({ message }) => message)); } };
    feed.start();
    await this.world.pass(100);
    return tab;
  }

  get connections() {
    return this.world.server.sessions.size;
  }

  #connect(tab) {
    if (!this.worker || this.worker.dead) {
      this.worker = new Process(this);
      this.hosts = new Hosts(this.worker.env);
    }
    const { worker, hosts } = this;
    const inside = { postMessage: (data) => send(tab, port, data) };
    const send = (to, at, data) => {
      const copy = structuredClone(data);
      to.soon(() => !port.closed && at.onmessage?.({ data: copy }));
    };
    const port = {
      postMessage: (data) => send(worker, { onmessage: ({ data }) => hosts.receive(data, inside) }, data),
      close: () => { port.closed = true; },
    };
    return { port };
  }

  broadcast(from, data) {
    const copy = structuredClone(data);
    for (const channel of this.channels) {
      if (channel === from || channel.name !== from.name) continue;
      channel.process.soon(() => this.channels.has(channel) && channel.onmessage({ data: copy }));
    }
  }

  request(process, name, { mode = "exclusive", signal, steal = false }, run) {
    return new Promise((resolve, reject) => {
      const lock = { process, name, mode, run, resolve, reject, held: false };
      const end = () => this.#drop((each) => each === lock);
      signal?.addEventListener("abort", () => {
        if (lock.held) return;
        end();
        reject(new DOMException("aborted", "AbortError"));
      });
      if (steal) this.#drop((each) => each.name === name && each.held);
      this.#locks[steal ? "unshift" : "push"](lock);
      queueMicrotask(() => this.#grant());
    });
  }

  query() {
    return { held: this.#locks.filter(({ held }) => held).map(({ name }) => ({ name })) };
  }

  release(process) {
    this.#drop((each) => each.process === process);
    this.#grant();
  }

  #drop(which) {
    const dropped = this.#locks.filter(which);
    this.#locks = this.#locks.filter((lock) => !which(lock));
    for (const { held, process, reject } of dropped) {
      if (held) process.soon(() => reject(new DOMException("stolen", "AbortError")));
    }
  }

  #grant() {
    for (const [index, lock] of this.#locks.entries()) {
      const before = this.#locks.slice(0, index).filter(({ name }) => name === lock.name);
      if (lock.held || before.some(({ mode }) => mode === "exclusive" || lock.mode === "exclusive")) continue;
      lock.held = true;
      lock.process.soon(async () => {
        await lock.run();
        this.#drop((each) => each === lock && (lock.held = false, true));
        lock.resolve();
        this.#grant();
      });
    }
  }
}

const ELECTION = { worker: undefined };
const ALONE = { worker: undefined, locks: undefined };
const WAYS = { "a worker": {}, "an elected tab": ELECTION };

/** Every message from the first on came, once and in order, and nothing was given up. */
function consecutive({ seqs: came, of }) {
  assert.deepEqual(came, came.map((_, index) => came[0] + 2 * index));
  assert.deepEqual(of("gap"), []);
}

for (const [way, lacks] of Object.entries(WAYS)) {
  test(`with ${way}, tabs that want the same have one connection`, async () => {
    const browser = new Browser(lacks);
    const tabs = [];
    for (let count = 0; count < 8; count += 1) tabs.push(await browser.tab());
    await browser.world.pass(3000);
    assert.equal(browser.connections, 1);
    for (const tab of tabs) {
      consecutive(tab);
      assert.equal(tab.seqs.at(-1), tabs[0].seqs.at(-1));
      assert.equal(tab.of("status").at(-1).status, "connected");
      assert.equal(tab.of("transport").at(-1).transport, "websocket");
    }
    for (const tab of tabs) tab.feed.close();
    await browser.world.pass(100);
    assert.equal(browser.connections, 0);
  });

  test(`with ${way}, a new tab has the newest data at once, and how old it is`, async () => {
    const browser = new Browser(lacks);
    const channels = [{ ...METRICS, interval: 60_000 }];
    const first = await browser.tab({ channels });
    await browser.world.pass(20_000);
    const second = await browser.tab({ channels });
    const [{ message, age }] = second.of("message");
    assert.deepEqual(message, first.of("message").at(-1).message);
    assert.ok(age >= 20_000 && age < 20_200);
    assert.equal(browser.world.count("websocket"), 1);
  });

  test(`with ${way}, a new tab's chart begins where the others' do`, async () => {
    const browser = new Browser(lacks);
    const channels = [{ ...METRICS, history: 5 }];
    await browser.world.pass(10_000);
    await browser.tab({ channels });
    await browser.world.pass(50_000);
    const second = await browser.tab({ channels });
    const [{ message: past }] = second.of("history");
    assert.equal(past.items.length, 5);
    assert.equal(seqs(past.items).at(-1) + 2, second.seqs[0]);
    assert.deepEqual(second.told.map(({ kind }) => kind).slice(-2), ["history", "message"]);
  });

  test(`with ${way}, when what leads dies the rest goes on and lacks nothing`, async () => {
    const browser = new Browser(lacks);
    const tabs = [];
    for (let count = 0; count < 4; count += 1) tabs.push(await browser.tab());
    const dies = [tabs[0].process, browser.worker];
    await browser.world.pass(5000);
    for (const process of dies) process?.kill();
    await browser.world.pass(5000);
    assert.equal(browser.connections, 1);
    for (const tab of tabs.slice(1)) {
      consecutive(tab);
      assert.ok(tab.seqs.at(-1) >= 2 * 9);
      assert.deepEqual(new Set(tab.of("status").map(({ status }) => status)), new Set(["connected"]));
    }
  });

  test(`with ${way}, the connection ends with the last tab, also if that dies`, async () => {
    const browser = new Browser(lacks);
    const [first, second] = [await browser.tab(), await browser.tab()];
    const other = await browser.tab({ channels: [{ ...METRICS, interval: 2000 }] });
    assert.equal(browser.connections, 2);
    first.feed.close();
    second.process.kill();
    await browser.world.pass(100);
    assert.equal(browser.connections, 1);
    consecutive({ ...other, seqs: other.seqs.map((seq) => seq / 2) });
    assert.deepEqual(first.told.slice(-2), [
      { kind: "transport", transport: null },
      { kind: "status", status: "disconnected", error: null },
    ]);
  });

  test(`with ${way}, only tabs that want the same share`, async () => {
    const browser = new Browser(lacks);
    const containers = { ...METRICS, channel: "containers" };
    const both = [METRICS, containers];
    for (const options of [
      {},
      { token: "secret" },
      { transports: ["sse"] },
      { url: "http://other/" },
      { channels: both },
      { channels: [{ ...METRICS, detail: "full" }] },
      { channels: [{ ...METRICS, history: 1 }] },
    ]) await browser.tab(options);
    assert.equal(browser.connections, 7);
    await browser.tab({ channels: [...both].reverse() });
    assert.equal(browser.connections, 7);
  });

  test(`with ${way}, a tab that changes what it wants moves, and keeps the rest`, async () => {
    const browser = new Browser(lacks);
    const [first, second] = [await browser.tab(), await browser.tab()];
    await browser.world.pass(3000);
    second.feed.subscribe("metrics", METRICS);
    await browser.world.pass(100);
    assert.equal(browser.connections, 1);
    second.feed.subscribe("containers", METRICS);
    second.feed.subscribe("containers", { ...METRICS, interval: 2000 });
    await browser.world.pass(3000);
    assert.equal(browser.connections, 2);
    for (const tab of [first, second]) {
      consecutive({ ...tab, seqs: seqs(tab.of("message").map(({ message }) => message), "metrics") });
      assert.ok(tab.seqs.at(-1) >= 12);
    }
    assert.equal(seqs(second.of("message").map(({ message }) => message), "containers").length, 3);
    second.feed.unsubscribe("containers");
    await browser.world.pass(3000);
    assert.equal(browser.connections, 1);
    consecutive({ ...second, seqs: seqs(second.of("message").map(({ message }) => message), "metrics") });
  });

  test(`with ${way}, the feed rests only while no tab is visible`, async () => {
    const browser = new Browser(lacks);
    const [first, second] = [await browser.tab(), await browser.tab()];
    first.feed.visible(false);
    await browser.world.pass(60_000);
    assert.equal(browser.connections, 1);
    second.feed.visible(false);
    await browser.world.pass(60_000);
    assert.equal(browser.connections, 0);
    first.feed.visible(true);
    await browser.world.pass(1000);
    assert.equal(browser.connections, 1);
    assert.deepEqual(second.of("gap").map(({ message }) => message.reason), ["hidden"]);
    first.process.kill();
    await browser.world.pass(60_000);
    assert.equal(browser.connections, 0);
  });

  test(`with ${way}, a page that is left holds nothing, and goes on when it is back`, async () => {
    const browser = new Browser(lacks);
    const tab = await browser.tab();
    await browser.world.pass(3000);
    tab.process.env.page.dispatchEvent(new Event("pagehide"));
    await browser.world.pass(5000);
    assert.equal(browser.connections, 0);
    tab.process.env.page.dispatchEvent(new Event("pageshow"));
    tab.process.env.page.dispatchEvent(new Event("pageshow"));
    tab.feed.check();
    await browser.world.pass(3000);
    assert.equal(browser.connections, 1);
    consecutive(tab);
    assert.ok(tab.seqs.at(-1) >= 2 * 11);
  });

  test(`with ${way}, what is frozen is done without, and comes back when it thaws`, async () => {
    const browser = new Browser(lacks);
    const tabs = [await browser.tab(), await browser.tab(), await browser.tab()];
    const sleeper = browser.worker ?? tabs[0].process;
    await browser.world.pass(3000);
    sleeper.frozen = true;
    await browser.world.pass(10_000);
    for (const tab of tabs.slice(1)) {
      consecutive(tab);
      assert.ok(tab.seqs.at(-1) >= 2 * 12);
    }
    sleeper.thaw();
    await browser.world.pass(10_000);
    for (const tab of tabs) {
      consecutive(tab);
      assert.ok(tab.seqs.at(-1) >= 2 * 22);
    }
    assert.equal(browser.connections, 1);
  });
}

test("tabs that can neither have a worker nor elect have one connection each", async () => {
  const browser = new Browser(ALONE);
  const [first, second] = [await browser.tab(), await browser.tab()];
  await browser.world.pass(3000);
  assert.equal(browser.connections, 2);
  first.feed.subscribe("metrics", { ...METRICS, interval: 2000 });
  second.feed.check();
  await browser.world.pass(10_000);
  consecutive(second);
  assert.ok(first.seqs.length < second.seqs.length);
  second.feed.close();
  assert.equal(browser.connections, 1);
});

const deaf = () => ({ port: { postMessage() {}, close() {} } });

for (const [how, worker] of Object.entries({
  "cannot be made": () => { throw new Error("not from there"); },
  "does not load": () => {
    const worker = deaf();
    queueMicrotask(() => worker.onerror(new Event("error")));
    return worker;
  },
  "does not answer": () => deaf(),
})) {
  test(`a worker that ${how} is done without`, async () => {
    const browser = new Browser({ worker });
    const tabs = [await browser.tab(), await browser.tab()];
    await browser.world.pass(1000);
    assert.equal(browser.connections, 1);
    for (const tab of tabs) consecutive(tab);
    await browser.world.pass(60_000);
    assert.equal(browser.world.count("websocket"), 1);
  });
}

test("an election that comes to nothing is done without", async () => {
  const query = async () => ({});
  const never = { query, request: () => new Promise(() => {}) };
  const denied = { query, request: () => Promise.reject(new DOMException("no", "SecurityError")) };
  for (const [locks, ms] of [[never, 2000], [denied, 0]]) {
    const browser = new Browser({ worker: undefined, locks });
    const tab = await browser.tab();
    await browser.world.pass(ms);
    assert.equal(tab.of("message").length > 0, true);
  }
});

test("a worker that answers late is better than none", async () => {
  const browser = new Browser();
  const first = await browser.tab();
  browser.worker.frozen = true;
  const second = await browser.tab();
  await browser.world.pass(3000);
  assert.equal(second.seqs.length >= 2, true);
  browser.worker.thaw();
  await browser.world.pass(3000);
  assert.equal(browser.connections, 1);
  for (const tab of [first, second]) consecutive(tab);
});

test("without locks, a worker and its tabs see by silence that the other is dead", async () => {
  const browser = new Browser({ locks: undefined });
  const [first, second] = [await browser.tab(), await browser.tab()];
  await browser.world.pass(3000);
  browser.worker.kill();
  await browser.world.pass(8000);
  assert.equal(browser.connections, 1);
  for (const tab of [first, second]) consecutive(tab);
  assert.ok(second.seqs.at(-1) >= 2 * 10);
  second.feed.subscribe("metrics", { ...METRICS, interval: 2000 });
  await browser.world.pass(1000);
  assert.equal(browser.connections, 2);
  second.process.kill();
  await browser.world.pass(160_000);
  assert.equal(browser.connections, 1);
  consecutive(first);
});

test("a tab for which too much was sent meanwhile is told of a gap", async () => {
  const browser = new Browser();
  const [first, second] = [await browser.tab(), await browser.tab()];
  second.process.env.page.dispatchEvent(new Event("pagehide"));
  await browser.world.pass(100_000);
  second.process.env.page.dispatchEvent(new Event("pageshow"));
  await browser.world.pass(2000);
  consecutive(first);
  const [{ message: gap }] = second.of("gap");
  const after = second.of("message").find(({ message }) => message.cursor === gap.to);
  const { type, channel, reason, from, missed } = gap;
  assert.deepEqual([type, channel, reason, from, missed], ["gap", "metrics", "too_old", "a:1", null]);
  assert.equal(second.told.indexOf(after), second.told.findIndex(({ kind }) => kind === "gap") + 1);
  assert.equal(second.seqs.at(-1), first.seqs.at(-1));
});

test("a new tab is told what the server has not", async () => {
  const browser = new Browser();
  browser.world.server.unknown.add("containers");
  const options = { transports: ["sse"], channels: [METRICS, { ...METRICS, channel: "containers" }] };
  await browser.tab(options);
  await browser.world.pass(3000);
  const second = await browser.tab(options);
  assert.deepEqual(second.of("error").map(({ message }) => message.channel), ["containers"]);
  assert.equal(second.seqs.length, 1);
});

test("locks that others cannot see are not waited for", async () => {
  const browser = new Browser();
  const first = await browser.tab();
  browser.lacks = { locks: undefined };
  const second = await browser.tab();
  await browser.world.pass(20_000);
  for (const tab of [first, second]) consecutive(tab);
  assert.equal(browser.world.count("websocket"), 1);
  assert.deepEqual(second.of("info").length, 1);
});

test("a tab that closes its feed while it is told something is told no more", async () => {
  const browser = new Browser();
  await browser.world.pass(10_000);
  const channels = [{ ...METRICS, history: 5 }];
  const first = await browser.tab({ channels });
  const kinds = [];
  const { env } = first.process;
  const feed = new SharedFeed({ ...OPTIONS, channels }, { ...env, worker: undefined }, ({ kind }) => {
    kinds.push(kind);
    if (kind === "history") feed.close();
  });
  feed.start();
  await browser.world.pass(3000);
  assert.deepEqual(kinds.slice(kinds.indexOf("history")), ["history", "transport", "status"]);
});

test("a tab goes on from the cursors that it is given", async () => {
  const browser = new Browser();
  await browser.world.pass(10_000);
  const fresh = await browser.tab();
  const resumed = await browser.tab({ resume: { metrics: "a:5" }, transports: ["sse"] });
  assert.equal(fresh.seqs.length, 1);
  assert.equal(resumed.seqs[0], 7);
  consecutive(resumed);
});
