import { Client } from "./client.js";
export type Transport = import("./feed.js").Transport;
export type Message = import("./wire.js").Message;
export type Subscription = import("./wire.js").Subscription;
export type Options = {
    /**
     * address of the server, may be relative to the page; default: where this
     * module came from, if a Pulsewire server served it, else the page's own directory
     */
    url?: string;
    /**
     * names, or
     * a name with its own interval, detail and history; default `metrics`
     */
    channels?: string | (string | ({
        channel: string;
    } & Partial<Subscription>))[];
    /**
     * milliseconds between two messages, 1000 to 60000; default 5000
     */
    interval?: number;
    /**
     * `simple`, `standard` (default) or `full`
     */
    detail?: string;
    /**
     * past messages to begin with, 0 to 360; default 0
     */
    history?: number;
    /**
     * best first; default `websocket`, `sse`, `longpoll`. The
     * last resort, `polling`, promises neither every message nor gaps
     */
    transports?: Transport[];
    /**
     * proves to the server who asks
     */
    token?: string | null;
    /**
     * one connection for all tabs that want the same; default true
     */
    share?: boolean;
    /**
     * cursors by channel from which to go on
     */
    resume?: Record<string, string>;
};
/**
 * Connect to a Pulsewire server, and stay connected.
 *
 * @param {Options} [options]
 * @param {Partial<import("./env.js").Env>} [given] surroundings other than the browser's
 * @returns {Client}
 * @throws {TypeError} the address is none, or a transport is not known
 */
export declare function connect(options?: Options, given?: Partial<import("./env.js").Env>): Client;
export { Client };
