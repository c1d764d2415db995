// @ts-check
import { Backoff } from "./backoff.js";
import { probe } from "./http.js";
import { GIVE_UP_MS, Race } from "./race.js";
import { SseWire } from "./sse.js";
import { TRANSPORTS } from "./transports.js";
import { Trials } from "./trials.js";
import { WebSocketWire } from "./websocket.js";
import { Witness } from "./witness.js";

/** @typedef {import("./wire.js").End} End */
/** @typedef {import("./wire.js").Message} Message */
/** @typedef {import("./wire.js").Wire} Wire */

/**
 * What the chooser tells the feed.
 *
 * @typedef {object} Listener
 * @property {(wire: Wire) => void} up this one brings the messages from now on
 * @property {(end: End) => void} down nothing does; after a `final` end nothing will
 * @property {(wire: Wire, message: Message) => number | undefined} message takes one; for a data
 *   message: how many milliseconds after another wire it came
 */

const PROBE_MS = 3000;
const TIMELY_MS = 1000;
// So many short lives in a row, though plain requests work, are proof against a transport.
const LIVES = 3;
const BUSY_TICK_MS = 100;
const TICK_MS = 1000;

/** Keeps one wire up: chooses the transport, trusts and demotes after proof, comes back. */
export class Chooser {
  /** @type {Wire | null} the one whose messages count */
  active = null;
  #host;
  #listener;
  #names;
  #running = false;
  /** @type {Set<Wire>} all that are open */
  #wires = new Set();
  /** @type {Race | null} until one is active */
  #race = null;
  /** Which transport is started first. */
  #first = 0;
  /** @type {string | null} what has worked in this feed's life: it is given more time */
  #trusted = null;
  #shortLives = 0;
  #backoff = new Backoff();
  #trials = new Trials();
  /** @type {string[]} those still to be tried */
  #better = [];
  /** @type {Witness | null} while an event stream is active */
  #witness = null;
  /** @type {any} */
  #timer;

  /**
   * @param {Omit<import("./wire.js").Host, "free" | "message" | "proven" | "ended">} host
   * @param {string[]} names of the transports, best first
   * @param {Listener} listener
   */
  constructor(host, names, listener) {
    this.#host = {
      ...host,
      free: () => !this.active,
      message: this.#message.bind(this),
      proven: this.#proven.bind(this),
      ended: this.#ended.bind(this),
    };
    this.#names = names;
    this.#listener = listener;
  }

  start() {
    this.#running = true;
    if (!this.#trusted) this.#first = Math.max(0, this.#names.indexOf(this.#host.memory.transport ?? ""));
    this.#begin();
  }

  /** Let go of everything, until `start`. */
  stop() {
    this.#running = false;
    this.#clear();
  }

  /** Look at the clock and the wire now. */
  check() {
    if (!this.#running) return;
    this.#backoff.hurry(this.#now);
    if (this.active instanceof WebSocketWire) {
      this.active.ping();
      this.active.liveness.suspect();
    }
    this.#step();
  }

  /** The network is another one: what was known of it is over. */
  moved() {
    this.#host.memory.forget();
    this.#trusted = null;
    this.#first = 0;
    this.#trials.reset();
    // Only a WebSocket can be asked whether it is still there.
    const waits = this.#backoff.at !== null || this.active instanceof WebSocketWire;
    if (!this.#running || waits) return this.check();
    if (this.active) this.#listener.down({ error: "the network has changed" });
    this.#begin();
  }

  /** @param {string} channel whose subscription has changed */
  update(channel) {
    if (!this.#running) return;
    // What is on trial asked for what is wanted no more.
    for (const wire of this.#wires) wire.anchored = false;
    if (this.active instanceof WebSocketWire) this.active.subscribe(channel);
    else if (this.#backoff.at === null) this.#begin();
  }

  get #now() {
    return this.#host.env.now();
  }

  /** @param {Wire} wire */
  #rank(wire) {
    return this.#names.indexOf(wire.name);
  }

  /** @param {Wire} wire */
  #drop(wire) {
    wire.close();
    this.#wires.delete(wire);
  }

  #clear() {
    for (const wire of this.#wires) this.#drop(wire);
    if (this.#race) this.#race.over = true;
    this.active = this.#race = this.#witness = this.#backoff.at = null;
    this.#trials.cancel();
    this.#host.env.clearTimeout(this.#timer);
  }

  #begin() {
    this.#clear();
    if (!this.#host.wanted().length) return;
    if (this.#shortLives >= LIVES) {
      this.#trials.slow();
      this.#first = (this.#first + 1) % this.#names.length;
      this.#trusted = null;
      this.#shortLives = 0;
    }
    const order = [...this.#names.slice(this.#first), ...this.#names.slice(0, this.#first)];
    this.#race = new Race(order, this.#trusted, {
      now: () => this.#now,
      launch: (name) => this.#launch(name),
      deserted: () => !this.#wires.size,
      reachable: () => this.#reachable(),
      lost: (end) => this.#wait(end),
    });
  }

  /** @param {string} name */
  #launch(name) {
    const wire = new TRANSPORTS[name].Wire(name, this.#host);
    this.#wires.add(wire);
    wire.open();
    this.#arm();
    return wire;
  }

  #reachable() {
    return probe(this.#host, PROBE_MS);
  }

  /** @param {End} end after which to come back */
  #wait(end) {
    this.#clear();
    if (end.final) this.stop();
    else this.#backoff.wait(this.#now, this.#host.env.random(), end.afterMs);
    this.#arm();
    this.#listener.down(end);
  }

  #arm() {
    const { env } = this.#host;
    env.clearTimeout(this.#timer);
    if (!this.#running) return;
    const tick = this.active && this.#wires.size === 1 ? TICK_MS : BUSY_TICK_MS;
    const { at } = this.#backoff;
    this.#timer = env.setTimeout(() => this.#step(), at === null ? tick : Math.max(0, at - this.#now));
  }

  /** Do what is due by the clock. It may be called late, and often. */
  #step() {
    const { at } = this.#backoff;
    if (at !== null && this.#now >= at) return this.#begin();
    for (const wire of this.#wires) this.#look(wire);
    if (this.active && this.#trials.due(this.#now)) {
      this.#better = this.#names.slice(0, this.#rank(this.active));
      this.#try();
    }
    this.#arm();
  }

  /** @param {Wire} wire */
  #look(wire) {
    const { liveness } = wire;
    // A witness that was dismissed.
    if (wire.over) return void this.#wires.delete(wire);
    const interval = Math.min(...this.#host.wanted().map((one) => one.interval));
    // The trial of an event stream must also show that its messages come in time.
    const patience = GIVE_UP_MS + (wire.proven ? interval : 0);
    if (liveness.dead) wire.end({ error: "nothing comes any more" });
    else if (wire === this.active) {
      if (wire instanceof WebSocketWire && liveness.quiet >= this.#host.memory.quiet) wire.ping();
      if (this.#witness?.look(interval)) this.#overrule(this.#witness);
    } else if (wire === this.#witness?.wire) return;
    else if (this.#now - wire.startedAt >= patience) wire.end({ error: "no answer in time" });
    else this.#race?.look(wire);
  }

  /** @param {Wire} wire */
  #proven(wire) {
    if (!this.active || wire instanceof WebSocketWire) this.#activate(wire);
    else if (wire === this.#witness?.wire) return;
    else if (!wire.anchored) this.#drop(wire);
    else if (!(wire instanceof SseWire)) this.#activate(wire);
  }

  /** @param {Wire} wire */
  #activate(wire) {
    const before = this.active;
    // From the cursors of now: what it may have been sent as yet was for nobody.
    if (before && wire instanceof WebSocketWire) wire.subscribe();
    this.active = wire;
    const rank = this.#rank(wire);
    // A better one that is late goes on, as a trial.
    for (const other of this.#wires) if (this.#rank(other) > rank || other === before) this.#drop(other);
    if (this.#race) this.#race.over = true;
    this.#better = [];
    this.#first = rank;
    this.#trusted = wire.name;
    this.#trials.cancel();
    if (rank) this.#trials.schedule(this.#now);
    const doubted = wire instanceof SseWire && this.#names.includes("longpoll");
    this.#witness = doubted ? new Witness(wire, () => this.#launch("longpoll")) : null;
    this.#backoff.up(this.#now);
    this.#host.memory.works(wire.name);
    this.#listener.up(wire);
  }

  /** @param {Witness} witness that has shown its event stream to be held back */
  #overrule({ wire }) {
    this.#trials.slow();
    if (wire) this.#activate(wire);
  }

  /** Try the next better transport beside the active one. */
  #try() {
    const name = this.#better.shift();
    if (name) this.#launch(name);
    else {
      this.#trials.schedule(this.#now);
      this.#trials.slow();
    }
  }

  /**
   * @param {Wire} wire
   * @param {Message} message
   */
  #message(wire, message) {
    const { type, reason, afterMs } = message;
    if (type === "reconnect") return wire.end({ error: `the server has gone: ${reason}`, spoken: true, afterMs });
    const late = this.#listener.message(wire, message);
    if (late === undefined) return;
    const asked = this.#witness?.wire;
    this.#witness?.heard(wire, message, !late);
    const onTrial = this.active && wire !== this.active && wire !== asked;
    if (onTrial && wire.proven && late < TIMELY_MS) this.#activate(wire);
  }

  /**
   * @param {Wire} wire
   * @param {End} end
   */
  #ended(wire, end) {
    this.#wires.delete(wire);
    if (wire === this.active) this.#lost(wire, end);
    else if (wire === this.#witness?.wire) this.#witness.dismiss();
    else if (this.active) this.#try();
    else this.#race?.failed(wire, end);
  }

  /**
   * The active wire is gone.
   *
   * @param {Wire} wire
   * @param {End} end
   */
  async #lost(wire, end) {
    const { quiet, longest } = wire.liveness;
    const healthy = this.#backoff.down(this.#now);
    if (healthy) this.#shortLives = 0;
    this.#wait(end);
    // A server that is down proves nothing.
    if (end.spoken || !(await this.#reachable())) return;
    this.#host.memory.learn({ quiet, longest });
    if (!healthy) this.#shortLives++;
  }
}
