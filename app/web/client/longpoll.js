// @ts-check
import { HttpWire } from "./http.js";

const WAIT_S = 25;
const GRACE_MS = 10_000;

/** Long-poll; it works once a poll was answered. */
export class LongPollWire extends HttpWire {
  async run() {
    const { env, memory, cursors, wanted } = this.host;
    const reached = () => JSON.stringify(cursors);
    await this.prime();
    // The first answer, which may be empty, shows that polls get through.
    let wait = 0;
    while (!this.over) {
      const [askedAt, before] = [env.now(), reached()];
      this.liveness.heard();
      this.liveness.limit = wait * 1000 + GRACE_MS;
      const batch = await this.poll(wanted(), wait);
      this.prove();
      this.unpack(batch);
      // Something answers again and again without anything new: a cache, for one.
      if (wait && reached() === before && env.now() - askedAt < 500) await this.pause(1000);
      wait = Math.max(1, Math.min(WAIT_S, Math.floor(memory.quiet / 1000)));
    }
  }
}
