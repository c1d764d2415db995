import { Liveness } from "./liveness.js";
export type Env = import("./env.js").Env;
export type Message = Record<string, any> & {
    type: string;
};
export type Subscription = {
    channel: string;
    interval: number;
    detail: string;
    history: number;
};
export type End = {
    /**
     * what to tell people
     */
    error: string;
    /**
     * the server said so: no fault of the path
     */
    spoken?: boolean;
    /**
     * it shall not be tried again
     */
    final?: boolean;
    /**
     * the server's error message
     */
    said?: Message;
    /**
     * when to come back, if the server said
     */
    afterMs?: number;
};
export type Host = {
    env: Env;
    /**
     * address of the server, with a slash at its end
     */
    base: string;
    token: string | null;
    memory: import("./memory.js").Memory;
    cursors: import("./cursors.js").Cursors;
    wanted: () => Subscription[];
    /**
     * no other wire brings messages
     */
    free: () => boolean;
    message: (wire: Wire, message: Message) => void;
    proven: (wire: Wire) => void;
    /**
     * once, and not after `close`
     */
    ended: (wire: Wire, end: End) => void;
};
/** @typedef {import("./env.js").Env} Env */
/** @typedef {Record<string, any> & {type: string}} Message as PROTOCOL.md has it */
/** @typedef {{channel: string, interval: number, detail: string, history: number}} Subscription */
/**
 * How a connection ended.
 *
 * @typedef {object} End
 * @property {string} error what to tell people
 * @property {boolean} [spoken] the server said so: no fault of the path
 * @property {boolean} [final] it shall not be tried again
 * @property {Message} [said] the server's error message
 * @property {number} [afterMs] when to come back, if the server said
 */
/**
 * What a wire needs of whoever opened it.
 *
 * @typedef {object} Host
 * @property {Env} env
 * @property {string} base address of the server, with a slash at its end
 * @property {string | null} token
 * @property {import("./memory.js").Memory} memory
 * @property {import("./cursors.js").Cursors} cursors
 * @property {() => Subscription[]} wanted
 * @property {() => boolean} free no other wire brings messages
 * @property {(wire: Wire, message: Message) => void} message
 * @property {(wire: Wire) => void} proven
 * @property {(wire: Wire, end: End) => void} ended once, and not after `close`
 */
/** One try at one transport. It reports to its host and decides nothing. */
export declare class Wire {
    name: string;
    host: Host;
    startedAt: number;
    liveness: Liveness;
    /** It has shown that it works. */
    proven: boolean;
    /** It goes on from the cursors of the feed, so that it may bring messages beside another. */
    anchored: boolean;
    /** When a plain request first worked since it began. */
    clearedAt: number;
    over: boolean;
    /**
     * @param {string} name of the transport
     * @param {Host} host
     */
    constructor(name: string, host: Host);
    open(): void;
    /** Let go of what it holds. */
    stop(): void;
    /** @param {Message} message */
    take(message: Message): void;
    prove(): void;
    close(): void;
    /** @param {End} end */
    end(end: End): void;
}
