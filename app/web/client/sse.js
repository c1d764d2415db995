// @ts-check
import { HttpWire } from "./http.js";

/**
 * Server-Sent Events, read with `fetch`: an EventSource tells neither status nor errors, does not
 * let heartbeats be seen as bytes and takes no token. It works once it said `subscribed`.
 */
export class SseWire extends HttpWire {
  #retryMs = 0;
  #connected = false;
  #data = "";

  async run() {
    await this.prime();
    const { body } = await this.get("api/sse", this.query(this.host.wanted()));
    const reader = /** @type {ReadableStream<BufferSource>} */ (body)
      .pipeThrough(new TextDecoderStream())
      .getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      // A stream that ends before it began was turned away; then the server says until when.
      if (done) {
        const turnedAway = !this.#connected && this.#retryMs > 0;
        throw { error: "the stream ended", spoken: turnedAway, ...(turnedAway && { afterMs: this.#retryMs }) };
      }
      this.liveness.heard();
      const lines = (rest + value).split("\n");
      rest = /** @type {string} */ (lines.pop());
      for (const line of lines) this.#read(line.replace(/\r$/, ""));
    }
  }

  /** @param {string} line */
  #read(line) {
    const [, field, value] = line.match(/^(\w+): ?(.*)$/s) ?? [];
    if (field === "data") this.#data += value;
    if (field === "retry") this.#retryMs = Number(value);
    if (line || !this.#data) return;
    const message = JSON.parse(this.#data);
    this.#data = "";
    this.#connected ||= message.type === "connected";
    if (this.#connected && message.type === "subscribed") this.prove();
    this.take(message);
  }
}
