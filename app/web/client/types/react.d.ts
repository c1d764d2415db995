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
import type { Snapshot } from "./pool.js";
import type { Options } from "./pulsewire.js";
export type HookOnly = {
    /**
     * default true: where WebSocket does not get through, go on
     * with SSE, long-poll and at last plain polling of `/api/metrics`; false: WebSocket or nothing.
     * Where `transports` are given, they hold instead
     */
    enableFallback?: boolean;
    /**
     * default `standard`
     */
    detail?: Detail;
};
export type HookOptions = Omit<Options, "channels" | "resume" | "detail"> & HookOnly;
export type Detail = "simple" | "standard" | "full";
export type Realtime<T> = Omit<Snapshot, "data"> & {
    data: T | null;
};
export type StandardMetrics = {
    cpu: {
        usage: number;
        cores: number;
        loadAvg: [number, number, number];
    };
    memory: {
        total: number;
        used: number;
        free: number;
        usage: number;
    };
    disk: {
        total: number;
        used: number;
        free: number;
        usage: number;
        path: string;
    };
    uptime: number;
    hostname: string;
};
export type SimpleMetrics = {
    cpu: number;
    memory: number;
    disk: number;
    uptime: number;
};
export type Metrics<D extends Detail> = D extends "simple" ? SimpleMetrics : StandardMetrics;
/**
 * The machine's metrics, live: what a hook that polls `/api/metrics` has in `data`, as it comes.
 *
 * Nothing is thrown: what is wrong stands in `error`, beside the last data, until it is over.
 *
 * @template {Detail} [D="standard"]
 * @param {HookOptions & { detail?: D }} [options]
 * @returns {Realtime<Metrics<D>>}
 */
export declare function useRealtimeMetrics<D extends Detail = "standard">(options?: HookOptions & {
    detail?: D;
}): Realtime<Metrics<D>>;
/**
 * The same for any channel of the server.
 *
 * @template [T=unknown]
 * @param {string} channel as the server calls it, for example `containers`
 * @param {HookOptions} [options]
 * @returns {Realtime<T>}
 */
export declare function useRealtimeChannel<T = unknown>(channel: string, options?: HookOptions): Realtime<T>;
