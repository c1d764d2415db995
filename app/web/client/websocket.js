// @ts-check
import { Wire } from "./wire.js";

const PROTOCOL = "pulsewire.v1";
// Below it are the codes of a connection that broke, or that something on the way closed.
const SPOKEN = 1012;

/** @param {string} text */
const base64url = (text) =>
  btoa(String.fromCharCode(...new TextEncoder().encode(text)))
    .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

/** WebSocket; it works once it said `connected` and brought data or answered a ping. */
export class WebSocketWire extends Wire {
  /** @type {WebSocket | undefined} */
  #socket;
  #connected = false;
  #tickMs = 1;
  /** @type {Map<string, string>} the answers to wait for; what comes before is of older ones */
  #awaited = new Map();

  open() {
    const { env, base, token } = this.host;
    const fail = (/** @type {string} */ error) => env.setTimeout(() => this.end({ error }), 0);
    const protocols = token ? [PROTOCOL, `bearer.${base64url(token)}`] : [PROTOCOL];
    try {
      this.#socket = new env.WebSocket(new URL("api/ws", base.replace(/^http/, "ws")).href, protocols);
    } catch (error) {
      fail(String(error));
      return;
    }
    this.#socket.onopen = () => {
      this.liveness.heard();
      if (this.host.free()) this.subscribe();
      this.ping();
    };
    // A browser closes it in the same breath, Node 20 may not.
    this.#socket.onerror = () => fail("no connection");
    this.#socket.onmessage = ({ data }) => this.#receive(data);
    this.#socket.onclose = ({ code, reason }) =>
      this.end({
        error: reason || `no connection (${code})`,
        spoken: code >= SPOKEN,
        final: code >= 4500 && code <= 4999,
      });
  }

  stop() {
    this.#socket?.close();
  }

  ping() {
    this.#send({ type: "ping" });
  }

  /** @param {string} [only] the channel to subscribe to or to leave; else all that are wanted */
  subscribe(only) {
    const wanted = this.host.wanted().filter(({ channel }) => channel === (only ?? channel));
    for (const subscription of wanted) {
      const { channel, interval, detail } = subscription;
      const since = this.host.cursors.get(channel);
      // Of two subscriptions in a row only the second may be answered.
      this.#awaited.set(channel, `${interval} ${detail} ${!since}`);
      this.#send({ type: "subscribe", ...subscription, ...(since && { since }) });
    }
    if (only && !wanted.length) this.#send({ type: "unsubscribe", channel: only });
  }

  /** @param {object} message */
  #send(message) {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(message));
  }

  /** @param {string} text */
  #receive(text) {
    if (this.over) return;
    this.liveness.heard();
    const message = JSON.parse(text);
    const { type, channel = type } = message;
    if (type === "connected") {
      this.#connected = message.protocol === PROTOCOL;
      this.#tickMs = message.tickMs;
      if (!this.#connected) return this.end({ error: `the server does not speak ${PROTOCOL}` });
    } else if (type === "subscribed") this.#answer(message);
    else {
      if (this.#connected) this.prove();
      if (type === "error") this.#refuse(message);
      // A heartbeat may be ahead of a channel that is about to go back.
      else if (type === "heartbeat") message.cursor = this.#awaited.size ? null : message.cursor;
      else if (this.#awaited.has(channel)) return;
    }
    this.take(message);
  }

  /** @param {import("./wire.js").Message} subscribed */
  #answer({ channel, intervalMs, detail, resume }) {
    const [interval, ...rest] = this.#awaited.get(channel)?.split(" ") ?? [];
    const granted = Math.ceil(Number(interval) / this.#tickMs) * this.#tickMs;
    if (granted === intervalMs && rest.join(" ") === `${detail} ${resume.reason === "first"}`) {
      this.#awaited.delete(channel);
    }
  }

  /** @param {import("./wire.js").Message} error */
  #refuse(error) {
    if (error.code === "RATE_LIMITED") this.end({ error: error.message, spoken: true });
    // It does not say what was wrong in it; what else do we ask for?
    if (error.code === "INVALID_MESSAGE") error.channel ??= [...this.#awaited.keys()][0];
    this.#awaited.delete(error.channel);
  }
}
