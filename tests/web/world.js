// A clock that is turned by hand, a server that speaks the protocol, and a path between.
import { setMaxListeners } from "node:events";

const RTT_MS = 10;
const TICK_MS = 1000;
const EPOCHS = "abcdefgh";
const KEPT = 360;
const BUNCH_MS = 2500;

/** Let everything that is only waiting for promises go on. */
async function settle() {
  for (let turn = 0; turn < 4; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

class Clock {
  now = 0;
  skew = 1_800_000_000_000;
  /** Timers run no more often than that, as browsers have it in hidden tabs. */
  throttle = 0;
  #timers = new Map();
  #ids = 0;

  setTimeout(run, ms = 0) {
    this.#ids += 1;
    let at = this.now + Math.max(0, ms);
    if (this.throttle) at = Math.ceil(at / this.throttle) * this.throttle;
    this.#timers.set(this.#ids, { run, at });
    return this.#ids;
  }

  clearTimeout(id) {
    this.#timers.delete(id);
  }

  /** Timers of the world outside, which nobody throttles. */
  after(ms, run) {
    this.#ids += 1;
    this.#timers.set(this.#ids, { run, at: this.now + ms });
  }

  get timers() {
    return this.#timers.size;
  }

  async pass(ms) {
    const end = this.now + ms;
    await settle();
    for (;;) {
      const [id, next] = [...this.#timers].reduce((a, b) => (b[1].at < a[1].at ? b : a), [0, { at: Infinity }]);
      if (next.at > end) break;
      this.#timers.delete(id);
      this.now = Math.max(this.now, next.at);
      next.run();
      await settle();
    }
    this.now = end;
  }
}

/** As much of a server as a client can tell from a real one. */
class Server {
  seq = 0;
  life = 0;
  up = true;
  clock;
  sessions = new Set();
  log = [];
  /** What was asked for, as `transport` or path. */
  asked = [];
  silent = new Set();
  unknown = new Set();

  constructor(clock) {
    this.clock = clock;
    this.#tick();
  }

  get epoch() {
    return EPOCHS[this.life];
  }

  #tick() {
    this.clock.after(TICK_MS, () => this.#tick());
    if (this.up) this.publish();
  }

  publish() {
    const tick = Math.round(this.clock.now / TICK_MS);
    for (const channel of ["metrics", "containers"]) {
      if (this.silent.has(channel)) continue;
      this.seq += 1;
      this.log.push({ channel, tick, seq: this.seq, timestamp: this.clock.now + this.clock.skew });
    }
    this.log = this.log.slice(-2 * KEPT);
    for (const session of this.sessions) session.publish(tick);
  }

  stop() {
    this.up = false;
    for (const session of [...this.sessions]) session.cut();
    this.sessions.clear();
  }

  start() {
    this.up = true;
    this.life += 1;
    this.seq = 0;
    this.log = [];
    this.publish();
  }

  drain(afterMs) {
    for (const session of [...this.sessions]) {
      session.send({ type: "reconnect", reason: "drain", afterMs });
      session.end();
    }
    this.stop();
  }
}

class Session {
  subscriptions = new Map();

  /** @param {() => void} end in good order; `cut`: the connection breaks */
  constructor(server, send, cut, end = () => this.leave()) {
    this.server = server;
    this.end = () => {
      this.leave();
      end();
    };
    this.send = (message) => send({ timestamp: server.clock.now + server.clock.skew, ...message });
    this.cut = cut;
    server.sessions.add(this);
  }

  hello() {
    this.send({
      type: "connected",
      clientId: "c",
      epoch: this.server.epoch,
      heartbeatMs: 15000,
      protocol: "pulsewire.v1",
      version: "0",
      tickMs: TICK_MS,
      channels: ["metrics", "containers"],
    });
    this.beat();
  }

  beat() {
    this.server.clock.after(15000, () => {
      if (this.server.sessions.has(this)) this.send(this.heartbeat());
      if (this.server.sessions.has(this)) this.beat();
    });
  }

  heartbeat() {
    return { type: "heartbeat", cursor: this.subscriptions.size ? this.cursor(this.server.seq) : null };
  }

  cursor(seq) {
    return `${this.server.epoch}:${seq}`;
  }

  message({ channel, seq, timestamp }, { interval, detail }) {
    const data = { detail };
    return { type: channel, cursor: this.cursor(seq), timestamp, host: "h", intervalMs: interval, windowMs: interval, data };
  }

  due({ channel, tick }, wanted) {
    return channel === wanted.channel && tick % (wanted.interval / TICK_MS) === 0;
  }

  /** The verdict, and what is sent at once. */
  judge(wanted) {
    const { log, epoch } = this.server;
    const mine = log.filter((item) => item.channel === wanted.channel);
    const [since, from] = wanted.since?.split(":") ?? [];
    const verdict = (recovered, reason) => ({ recovered, reason, missed: null });
    const first = mine.at(-1);
    if (since === epoch) {
      const missed = mine.filter((item) => item.seq > Number(from) && this.due(item, wanted));
      return [verdict(true, "ok"), missed.map((item) => this.message(item, wanted))];
    }
    const reason = since ? "epoch_changed" : "first";
    const gap = { type: "gap", channel: wanted.channel, reason, from: wanted.since, to: this.cursor(first?.seq), missed: null };
    const items = mine.slice(0, -1).slice(-wanted.history).map((item) => this.message(item, wanted));
    const history = { type: "history", channel: wanted.channel, items };
    const sent = [...(since ? [gap] : []), ...(wanted.history ? [history] : []), ...(first ? [this.message(first, wanted)] : [])];
    return [verdict(false, reason), sent];
  }

  subscribe(wanted, said = true) {
    const [resume, sent] = this.judge(wanted);
    this.subscriptions.set(wanted.channel, wanted);
    const { channel, interval, detail } = wanted;
    if (said) this.send({ type: "subscribed", channel, intervalMs: interval, detail, resume });
    for (const message of sent) this.send(message);
    return sent.length;
  }

  publish(tick) {
    for (const wanted of this.subscriptions.values()) {
      for (const item of this.server.log) {
        if (item.tick === tick && this.due(item, wanted)) this.send(this.message(item, wanted));
      }
    }
  }

  leave() {
    this.server.sessions.delete(this);
  }
}

/** What lies between client and server: `path[transport]` says what happens to it. */
export class World {
  clock = new Clock();
  server = new Server(this.clock);
  /**
   * websocket: ok, refused, silent (it opens and nothing comes), or a number (ms until it opens);
   * sse: ok, refused, silent, buffered (nothing comes after the headers), bunched (what comes is
   * held until every 2.5 s), or a number (ms by which all is late); longpoll and http: ok, refused,
   * silent. Where `cutMs` is set, connections that are quiet so long are cut.
   */
  path = { websocket: "ok", sse: "ok", longpoll: "ok", http: "ok" };
  cutMs = Infinity;
  blackhole = false;
  storage = new Map();
  jitter = 0.5;
  timersSet = 0;
  networkChanged = () => {};

  get env() {
    const world = this;
    return {
      now: () => this.clock.now,
      wall: () => this.clock.now + this.clock.skew,
      random: () => this.jitter,
      setTimeout: (run, ms) => {
        this.timersSet += 1;
        return this.clock.setTimeout(run, ms);
      },
      clearTimeout: (id) => this.clock.clearTimeout(id),
      fetch: (url, init) => this.#fetch(new URL(url), init),
      WebSocket: class {
        constructor(url, protocols) {
          return new FakeSocket(world, url, protocols);
        }
      },
      storage: {
        getItem: (key) => this.storage.get(key) ?? null,
        setItem: (key, text) => this.storage.set(key, text),
        removeItem: (key) => this.storage.delete(key),
      },
      network: (changed) => {
        this.networkChanged = changed;
        return () => {};
      },
      page: undefined,
    };
  }

  pass(ms) {
    return this.clock.pass(ms);
  }

  count(transport) {
    return this.server.asked.filter((name) => name === transport).length;
  }

  async #delay(signal, rule) {
    await new Promise((resolve, reject) => {
      if (signal) setMaxListeners(0, signal);
      signal?.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
      if (!this.blackhole && rule !== "silent") this.clock.after(RTT_MS, () => resolve());
    });
    if (!this.server.up || rule === "refused") throw new TypeError("fetch failed");
  }

  async #fetch(url, { signal, headers, cache } = {}) {
    const name = { "/api/sse": "sse", "/api/poll": "longpoll" }[url.pathname] ?? "http";
    this.server.asked.push(name);
    this.last = { url, headers, cache };
    await this.#delay(signal, this.path[name]);
    if (this.answer?.[name]) return this.answer[name]();
    if (name === "http") return this.#metrics();
    const wanted = this.#wanted(url);
    const unknown = wanted.find(({ channel }) => this.server.unknown.has(channel));
    if (unknown) {
      const { channel } = unknown;
      return Response.json({ type: "error", code: "UNKNOWN_CHANNEL", message: `no ${channel}`, channel }, { status: 404 });
    }
    return name === "sse" ? this.#stream(wanted, signal) : this.#poll(url, wanted, signal);
  }

  #wanted({ searchParams: query }) {
    return query.get("channels").split(",").map((entry) => {
      const [channel, interval, detail] = entry.split(":");
      const history = Number(query.get("history"));
      return { channel, interval: Number(interval), detail, history, since: query.get("since") ?? undefined };
    });
  }

  #metrics() {
    const session = new Session(this.server, () => {}, () => {});
    session.leave();
    const newest = this.server.log.filter(({ channel }) => channel === "metrics").at(-1);
    return Response.json(session.message(newest, { interval: 5000, detail: "standard" }));
  }

  #stream(wanted, signal) {
    let output;
    const body = new ReadableStream({ start: (controller) => (output = controller) });
    let heardAt = this.clock.now;
    const write = (message) => {
      heardAt = this.clock.now;
      const event = `event: ${message.type}\nid: x\ndata: ${JSON.stringify(message)}\n\n`;
      if (this.server.sessions.has(session)) output.enqueue(new TextEncoder().encode(event));
    };
    const session = new Session(
      this.server,
      (message) => {
        const { sse } = this.path;
        if (sse === "buffered") return;
        if (sse === "bunched") this.clock.after(BUNCH_MS - (this.clock.now % BUNCH_MS), () => write(message));
        else if (typeof sse === "number") this.clock.after(sse, () => write(message));
        else write(message);
      },
      () => output.error(new TypeError("network error")),
      () => output.close(),
    );
    signal.addEventListener("abort", () => {
      session.leave();
      try {
        output.error(new DOMException("aborted", "AbortError"));
      } catch {
        // It had ended.
      }
    });
    this.#guard(session, () => heardAt);
    session.hello();
    for (const one of wanted) session.subscribe(one);
    return new Response(body, { headers: { "Content-Type": "text/event-stream; charset=utf-8" } });
  }

  async #poll({ searchParams: query }, wanted, signal) {
    const messages = [];
    const askedAt = this.clock.now;
    const wait = Number(query.get("wait")) * 1000;
    let done;
    let fail;
    const held = new Promise((resolve, reject) => {
      done = resolve;
      fail = reject;
    });
    const hold = (message) => {
      messages.push(message);
      if (askedAt < this.clock.now) queueMicrotask(done);
    };
    const session = new Session(this.server, hold, () => fail(new TypeError("network error")));
    const resume = {};
    for (const one of wanted) {
      [resume[one.channel]] = session.judge(one);
      session.subscribe(one, false);
    }
    this.#guard(session, () => askedAt);
    signal.addEventListener("abort", () => fail(new DOMException("aborted", "AbortError")));
    this.clock.after(wait, done);
    if (messages.length) done();
    try {
      await held;
    } finally {
      session.leave();
    }
    const drained = messages.some(({ type }) => type === "reconnect");
    const cursor = drained ? query.get("since") : session.cursor(this.server.seq);
    const timestamp = this.clock.now + this.clock.skew;
    return Response.json({ type: "batch", timestamp, cursor, resume, messages });
  }

  #guard(session, heardAt) {
    if (this.cutMs === Infinity) return;
    this.clock.after(100, () => {
      if (!this.server.sessions.has(session)) return;
      if (this.clock.now - heardAt() < this.cutMs) this.#guard(session, heardAt);
      else {
        session.leave();
        session.cut();
      }
    });
  }

  guard(session, heardAt) {
    this.#guard(session, heardAt);
  }
}

class FakeSocket {
  readyState = 0;
  onopen = () => {};
  onmessage = () => {};
  onclose = () => {};
  #session;

  constructor(world, url, protocols) {
    this.world = world;
    this.rule = world.path.websocket;
    world.server.asked.push("websocket");
    world.protocols = protocols;
    if (world.blackhole) return;
    const ms = typeof this.rule === "number" ? this.rule : RTT_MS;
    world.clock.after(ms, () => this.#open());
  }

  #open() {
    if (this.readyState) return;
    if (!this.world.server.up || this.rule === "refused") return this.fail(1006);
    this.readyState = 1;
    this.heardAt = this.world.clock.now;
    const say = (message) => {
      if (this.rule === "silent" || this.readyState !== 1) return;
      this.heardAt = this.world.clock.now;
      this.onmessage({ data: JSON.stringify(message) });
    };
    const { closeCode = 1006 } = this.world;
    this.#session = new Session(this.world.server, say, () => this.fail(closeCode), () => this.fail(1012));
    this.world.guard(this.#session, () => this.heardAt);
    this.onopen();
    this.#session.hello();
  }

  fail(code) {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.#session?.leave();
    this.onclose({ code, reason: "" });
  }

  send(text) {
    const { type, ...rest } = JSON.parse(text);
    this.heardAt = this.world.clock.now;
    this.world.clock.after(RTT_MS, () => {
      if (this.readyState !== 1) return;
      if (type === "ping") this.#session.send(this.#session.heartbeat());
      else if (type === "unsubscribe") this.#session.subscriptions.delete(rest.channel);
      else if (this.world.server.unknown.has(rest.channel)) {
        this.#session.send({ type: "error", code: "UNKNOWN_CHANNEL", message: "no", channel: rest.channel });
      } else this.#session.subscribe(rest);
    });
  }

  close() {
    this.readyState = 3;
    this.#session?.leave();
  }
}

const WANTED = { channel: "metrics", interval: 1000, detail: "standard", history: 0 };

/**
 * A feed in a world, and all that it said.
 *
 * @param {World} world
 */
export async function feedIn(world, Feed, options = {}) {
  const told = { events: [], messages: [], gaps: [], transports: [], statuses: [] };
  const feed = new Feed(
    { url: "http://server/", channels: [WANTED], transports: ["websocket", "sse", "longpoll"], token: null, ...options },
    world.env,
    (event) => {
      told.events.push({ at: world.clock.now, ...event });
      if (event.kind === "message") told.messages.push(event.message);
      if (event.kind === "gap") told.gaps.push(event.message);
      if (event.kind === "transport") told.transports.push([event.transport, world.clock.now]);
      if (event.kind === "status") told.statuses.push(event.status);
    },
  );
  feed.start();
  return { feed, told };
}

/** The seqs of a channel. */
export const seqs = (messages, channel = "metrics") =>
  messages.filter(({ type }) => type === channel).map(({ cursor }) => Number(cursor.split(":")[1]));
