/**
 * Clients that components share, for bindings to user interface libraries.
 *
 * All who agree on where and how to connect share one client, and one subscription if they also
 * agree on its interval, detail and history. The last to leave closes it, but not at once: what
 * goes away and comes back in the same breath (StrictMode, a route that changes, an interval
 * that is switched) finds its connection as it was.
 *
 * @import { Client } from "./client.js"
 * @import { Status, Transport } from "./feed.js"
 */
import type { Client } from "./client.js";
import type { Status, Transport } from "./feed.js";
export type Want = {
    channel: string;
    /**
     * milliseconds between two messages
     */
    interval: number;
    /**
     * `simple`, `standard` or `full`
     */
    detail: string;
    /**
     * past messages to begin with
     */
    history: number;
    /**
     * the options of `connect` that are not about a channel
     */
    connection: object;
};
export type Snapshot = {
    /**
     * the `data` of the newest message; null until there is one
     */
    data: any;
    /**
     * neither data nor an error has come yet
     */
    loading: boolean;
    /**
     * what is wrong at present
     */
    error: string | null;
    connectionStatus: Status;
    transport: Transport | null;
    /**
     * when the data came, by this machine's clock
     */
    lastUpdated: Date | null;
};
export type View = {
    /**
     * calls the listener after each change,
     * until the returned function is called
     */
    subscribe: (listener: () => void) => () => void;
    /**
     * the snapshot as of now
     */
    read: () => Snapshot;
};
export type Env = {
    connect: (options: any) => Client;
    /**
     * run a task before the browser does anything else
     */
    soon?: (task: () => void) => unknown;
    /**
     * run a task after what goes on now is over
     */
    later?: (task: () => void) => unknown;
    /**
     * milliseconds since the epoch
     */
    now?: () => number;
};
/**
 * What somebody wants to see: one channel, as it is subscribed to, over one kind of connection.
 *
 * @typedef {object} Want
 * @property {string} channel
 * @property {number} interval milliseconds between two messages
 * @property {string} detail `simple`, `standard` or `full`
 * @property {number} history past messages to begin with
 * @property {object} connection the options of `connect` that are not about a channel
 */
/**
 * What is known of a channel. A view gives the same object until something in it changes.
 *
 * @typedef {object} Snapshot
 * @property {any} data the `data` of the newest message; null until there is one
 * @property {boolean} loading neither data nor an error has come yet
 * @property {string | null} error what is wrong at present
 * @property {Status} connectionStatus
 * @property {Transport | null} transport
 * @property {Date | null} lastUpdated when the data came, by this machine's clock
 */
/**
 * A channel as somebody wants it, in the form that external stores have.
 *
 * @typedef {object} View
 * @property {(listener: () => void) => () => void} subscribe calls the listener after each change,
 *   until the returned function is called
 * @property {() => Snapshot} read the snapshot as of now
 */
/**
 * @typedef {object} Env
 * @property {(options: any) => Client} connect
 * @property {(task: () => void) => unknown} [soon] run a task before the browser does anything else
 * @property {(task: () => void) => unknown} [later] run a task after what goes on now is over
 * @property {() => number} [now] milliseconds since the epoch
 */
/** @type {Readonly<Snapshot>} What is known before there is a connection, as on a server. */
export declare const NOTHING: Readonly<Snapshot>;
/** All clients that are shared. */
export declare class Pool {
    #private;
    /** @param {Env} env */
    constructor(env: Env);
    /**
     * Return a view. It costs nothing until somebody subscribes to it.
     *
     * @param {Want} want
     * @returns {View}
     */
    view(want: Want): View;
}
