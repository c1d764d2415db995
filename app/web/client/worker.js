// @ts-check
/** The script of the shared worker: hosts the feeds of all tabs of its origin. */

import { surroundings } from "./env.js";
import { Hosts } from "./host.js";

const hosts = new Hosts({ ...surroundings(), locks: navigator.locks });

addEventListener("connect", (event) => {
  const [port] = /** @type {MessageEvent} */ (event).ports;
  port.onmessage = ({ data }) => hosts.receive(data, port);
});
