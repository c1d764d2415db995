// @ts-check
import { HttpWire } from "./http.js";

/** The last resort: plain polling of the metrics, at standard detail and without promises. */
export class PollingWire extends HttpWire {
  async run() {
    for (;;) {
      const metrics = this.host.wanted().find(({ channel }) => channel === "metrics");
      if (!metrics) throw { error: "polling brings nothing but metrics" };
      const message = await (await this.get("api/metrics")).json();
      this.liveness.heard();
      this.liveness.limit = metrics.interval + 10_000;
      this.prove();
      this.take(message);
      await this.pause(metrics.interval);
      if (this.over) return;
    }
  }
}
