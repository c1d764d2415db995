/** The pool of clients under the React hooks, with clients that do what a test says. */

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { NOTHING, Pool } from "../../app/web/client/pool.js";

const NOW = 1_700_000_000_000;
const WANT = {
  channel: "metrics",
  interval: 5000,
  detail: "standard",
  history: 0,
  connection: { url: "/", transports: ["websocket"] },
};

class FakeClient extends EventTarget {
  status = "connecting";
  transport = null;
  error = null;
  ageMs = null;
  closed = 0;
  /** What a client has at once from other tabs. */
  static known = new Map();
  calls = [];

  constructor(options) {
    super();
    this.options = options;
  }

  latest(channel) {
    return FakeClient.known.get(channel) ?? null;
  }

  subscribe(channel, options) {
    this.calls.push(["subscribe", channel, options.interval]);
  }

  unsubscribe(channel) {
    this.calls.push(["unsubscribe", channel]);
  }

  close() {
    this.closed += 1;
  }

  /** Become what is given, and say so. */
  becomes(state) {
    Object.assign(this, state);
    this.dispatchEvent(new CustomEvent("status", { detail: state }));
  }

  gives(data, type = "metrics") {
    this.dispatchEvent(new CustomEvent("message", { detail: { type, data } }));
  }

  refuses(message, channel) {
    this.dispatchEvent(new CustomEvent("error", { detail: { type: "error", message, channel } }));
  }
}

let clients, pool, soon, later;

beforeEach(() => {
  [clients, soon, later] = [[], [], []];
  FakeClient.known.clear();
  pool = new Pool({
    connect: (options) => {
      const client = new FakeClient(options);
      clients.push(client);
      return client;
    },
    soon: (task) => soon.push(task),
    later: (task) => later.push(task),
    now: () => NOW,
  });
});

const run = (tasks) => tasks.splice(0).forEach((task) => task());
const changed = (change) => pool.view({ ...WANT, ...change });

/** Watch a view as React does; what it has been told is counted. */
function mount(view = changed()) {
  const mounted = { heard: 0, unmount: view.subscribe(() => (mounted.heard += 1)), view };
  return mounted;
}

function open(...views) {
  const mounted = (views.length ? views : [changed()]).map(mount);
  run(soon);
  return mounted;
}

test("a view that nobody watches connects to nothing", () => {
  assert.equal(changed().read(), NOTHING);
  run(soon);
  assert.equal(clients.length, 0);
});

test("all who want the same share one client", () => {
  open(changed(), changed(), changed());
  assert.equal(clients.length, 1);
  assert.deepEqual(clients[0].options, {
    url: "/",
    transports: ["websocket"],
    channels: [{ channel: "metrics", interval: 5000, detail: "standard", history: 0 }],
  });
});

test("what is mounted together is asked for at once", () => {
  open(changed(), changed({ channel: "containers", interval: 1000 }));
  assert.equal(clients.length, 1);
  const { channels } = clients[0].options;
  assert.deepEqual(
    channels.map(({ channel, interval }) => [channel, interval]),
    [
      ["metrics", 5000],
      ["containers", 1000],
    ],
  );
  assert.deepEqual(clients[0].calls, []);
});

test("a channel that is wanted later is added to the connection that is there", () => {
  open();
  const [containers] = open(changed({ channel: "containers" }));
  assert.equal(clients.length, 1);
  containers.unmount();
  run(later);
  assert.deepEqual(clients[0].calls, [
    ["subscribe", "containers", 5000],
    ["unsubscribe", "containers"],
  ]);
  assert.equal(clients[0].closed, 0);
});

test("another server is another client", () => {
  open(changed(), changed({ connection: { url: "/other" } }));
  assert.equal(clients.length, 2);
});

test("two intervals of one channel are two clients", () => {
  const [slow, fast] = open(changed(), changed({ interval: 1000 }));
  assert.equal(clients.length, 2);
  clients[1].gives("fast");
  assert.equal(fast.view.read().data, "fast");
  assert.equal(slow.view.read().data, null);
});

test("what comes is shown to all, and nothing else wakes them", () => {
  const [one, other] = open(changed(), changed());
  clients[0].becomes({ status: "connected", transport: "websocket", ageMs: 0 });
  clients[0].gives({ uptime: 1 });
  clients[0].gives("not ours", "containers");
  clients[0].becomes({ status: "connected" });
  assert.equal(one.heard, 2);
  assert.equal(other.heard, 2);
  assert.deepEqual(one.view.read(), {
    data: { uptime: 1 },
    loading: false,
    error: null,
    connectionStatus: "connected",
    transport: "websocket",
    lastUpdated: new Date(NOW),
  });
});

test("a snapshot stays the same object until something in it changes", () => {
  const [{ view }] = open();
  clients[0].gives("some");
  assert.equal(view.read(), view.read());
  assert.equal(view.read(), changed().read());
});

test("data that another tab has had for a while is as old as it is", () => {
  const [{ view }] = open();
  clients[0].ageMs = 4000;
  clients[0].gives("old");
  assert.deepEqual(view.read().lastUpdated, new Date(NOW - 4000));
});

test("what another tab has already is there from the start", () => {
  FakeClient.known.set("metrics", { type: "metrics", data: "of another tab" });
  const [{ view, heard }] = open();
  assert.equal(view.read().data, "of another tab");
  assert.equal(heard, 1);
});

test("a lost connection is told beside the last data", () => {
  const [{ view }] = open();
  clients[0].gives("last");
  clients[0].becomes({ status: "reconnecting", transport: null, error: "the server is gone" });
  const { data, connectionStatus, error, loading } = view.read();
  assert.deepEqual([data, connectionStatus, error, loading], [
    "last",
    "reconnecting",
    "the server is gone",
    false,
  ]);
  clients[0].becomes({ status: "connected", error: null });
  assert.equal(view.read().error, null);
});

test("a channel that is refused says why, until its data comes", () => {
  const [{ view }, metrics] = open(changed({ channel: "containers" }), changed());
  clients[0].refuses("no engine", "containers");
  clients[0].refuses("of no channel");
  clients[0].refuses("of a channel that nobody watches", "processes");
  assert.equal(view.read().error, "no engine");
  assert.equal(view.read().loading, false);
  assert.equal(metrics.view.read().error, null);
  clients[0].gives([], "containers");
  assert.equal(view.read().error, null);
});

test("the last to leave closes the connection", () => {
  const [one, other] = open(changed(), changed());
  one.unmount();
  run(later);
  assert.equal(clients[0].closed, 0);
  other.unmount();
  assert.equal(clients[0].closed, 0);
  run(later);
  assert.equal(clients[0].closed, 1);
  assert.equal(changed().read(), NOTHING);
});

test("who comes back at once finds the connection as it was", () => {
  mount().unmount();
  const again = mount();
  run(soon);
  clients[0].gives("some");
  again.unmount();
  open();
  run(later);
  assert.equal(clients.length, 1);
  assert.equal(clients[0].closed, 0);
  assert.equal(changed().read().data, "some");
});

test("who comes back later gets a new connection", () => {
  const [{ unmount }] = open();
  unmount();
  run(later);
  open();
  assert.equal(clients.length, 2);
  assert.equal(clients[1].closed, 0);
});

test("another interval is another subscription of the same connection", () => {
  const [{ unmount }] = open();
  clients[0].gives("at 5 s");
  const switched = changed({ interval: 1000 });
  assert.equal(switched.read().data, "at 5 s");
  unmount();
  mount(switched);
  run(later);
  assert.deepEqual(clients[0].calls, [["subscribe", "metrics", 1000]]);
  assert.equal(clients.length, 1);
  assert.equal(clients[0].closed, 0);
  assert.equal(switched.read().data, "at 5 s");
});

test("data of another shape is never shown", () => {
  const [{ unmount }] = open();
  clients[0].gives("standard");
  const simple = changed({ detail: "simple" });
  unmount();
  open(simple);
  assert.equal(simple.read(), NOTHING);
  clients[0].gives("standard, late");
  run(later);
  assert.equal(simple.read(), NOTHING);
  clients[1].gives("simple");
  assert.equal(simple.read().data, "simple");
  assert.equal(clients[0].closed, 1);
});

test("a connection that cannot be begun says why", () => {
  pool = new Pool({
    connect: () => {
      throw new RangeError("interval: 5 is less than 1000");
    },
    soon: (task) => soon.push(task),
  });
  const [{ view }] = open(changed());
  const { loading, error, connectionStatus } = view.read();
  assert.deepEqual([loading, error, connectionStatus], [
    false,
    "interval: 5 is less than 1000",
    "disconnected",
  ]);
});

test("left to itself, it opens in this turn of the event loop and closes in a later one", async () => {
  pool = new Pool({ connect: (options) => clients[clients.push(new FakeClient(options)) - 1] });
  const { unmount } = mount();
  assert.equal(clients.length, 0);
  await null;
  assert.equal(clients.length, 1);
  unmount();
  await null;
  assert.equal(clients[0].closed, 0);
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(clients[0].closed, 1);
});
