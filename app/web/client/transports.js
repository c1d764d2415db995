// @ts-check
import { LongPollWire } from "./longpoll.js";
import { PollingWire } from "./polling.js";
import { SseWire } from "./sse.js";
import { WebSocketWire } from "./websocket.js";

/**
 * The transports by name: after `doubt` ms without proof a plain request is sent, after `head` ms
 * the next one may start beside it.
 *
 * @type {Record<string, {Wire: new (name: string, host: any) => import("./wire.js").Wire,
 *   doubt: number, head: number}>}
 */
export const TRANSPORTS = {
  websocket: { Wire: WebSocketWire, doubt: 2000, head: 2500 },
  sse: { Wire: SseWire, doubt: 3000, head: 4000 },
  longpoll: { Wire: LongPollWire, doubt: 3000, head: 4000 },
  polling: { Wire: PollingWire, doubt: 3000, head: Infinity },
};
