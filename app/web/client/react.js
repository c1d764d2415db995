// @ts-check
/**
 * Live metrics for React components (18 and 19).
 *
 * The hooks are thin: connections live outside React, in a pool, so that any number of components,
 * StrictMode and remounting open one connection and leave none behind.
 *
 * @import { Transport } from "./feed.js"
 * @import { Snapshot, Want } from "./pool.js"
 * @import { Options } from "./pulsewire.js"
 */

import { useMemo, useSyncExternalStore } from "react";

import { DEFAULTS } from "./client.js";
import { NOTHING, Pool } from "./pool.js";
import { connect } from "./pulsewire.js";

/** @type {Transport[]} */
const WITH_FALLBACK = ["websocket", "sse", "longpoll", "polling"];
/** @type {Transport[]} */
const WITHOUT_FALLBACK = ["websocket"];

/**
 * What only the hooks know.
 *
 * @typedef {object} HookOnly
 * @property {boolean} [enableFallback] default true: where WebSocket does not get through, go on
 *   with SSE, long-poll and at last plain polling of `/api/metrics`; false: WebSocket or nothing.
 *   Where `transports` are given, they hold instead
 * @property {Detail} [detail] default `standard`
 */

/**
 * Options of the hooks: those of `connect` that make sense here, and those of their own. They are
 * compared by value, so they may be written down anew at each rendering; a change takes effect.
 *
 * @typedef {Omit<Options, "channels" | "resume" | "detail"> & HookOnly} HookOptions
 */

/** @typedef {"simple" | "standard" | "full"} Detail */

/**
 * The newest data of a channel and the state of the connection.
 *
 * @template T
 * @typedef {Omit<Snapshot, "data"> & { data: T | null }} Realtime
 */

/**
 * @typedef {object} StandardMetrics percent 0 to 100, bytes, seconds
 * @property {{ usage: number, cores: number, loadAvg: [number, number, number] }} cpu
 * @property {{ total: number, used: number, free: number, usage: number }} memory
 * @property {{ total: number, used: number, free: number, usage: number, path: string }} disk
 * @property {number} uptime
 * @property {string} hostname
 */

/**
 * @typedef {object} SimpleMetrics percent, percent, percent, seconds
 * @property {number} cpu
 * @property {number} memory
 * @property {number} disk
 * @property {number} uptime
 */

/**
 * What a detail holds; `full` holds more than its type tells.
 *
 * @template {Detail} D
 * @typedef {D extends "simple" ? SimpleMetrics : StandardMetrics} Metrics
 */

const pool = new Pool({ connect });

/**
 * The machine's metrics, live: what a hook that polls `/api/metrics` has in `data`, as it comes.
 *
 * Nothing is thrown: what is wrong stands in `error`, beside the last data, until it is over.
 *
 * @template {Detail} [D="standard"]
 * @param {HookOptions & { detail?: D }} [options]
 * @returns {Realtime<Metrics<D>>}
 */
export function useRealtimeMetrics(options) {
  return useRealtimeChannel("metrics", options);
}

/**
 * The same for any channel of the server.
 *
 * @template [T=unknown]
 * @param {string} channel as the server calls it, for example `containers`
 * @param {HookOptions} [options]
 * @returns {Realtime<T>}
 */
export function useRealtimeChannel(channel, options = {}) {
  const key = JSON.stringify(wanted(channel, options));
  const view = useMemo(() => pool.view(JSON.parse(key)), [key]);
  return useSyncExternalStore(view.subscribe, view.read, () => NOTHING);
}

/**
 * @param {string} channel
 * @param {HookOptions} options
 * @returns {Want}
 */
function wanted(channel, options) {
  const {
    enableFallback = true,
    transports = enableFallback ? WITH_FALLBACK : WITHOUT_FALLBACK,
    interval = DEFAULTS.interval,
    detail = DEFAULTS.detail,
    history = DEFAULTS.history,
    ...rest
  } = options;
  // In one order, so that the same options in another make no other connection.
  const connection = Object.fromEntries(Object.entries({ ...rest, transports }).sort());
  return { channel, interval, detail, history, connection };
}
