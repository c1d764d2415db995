/** @typedef {import("./feed.js").FeedEvent} FeedEvent */
/** @typedef {import("./wire.js").Message} Message */
/** @typedef {import("./wire.js").Subscription} Subscription */
/** @typedef {Partial<Omit<Subscription, "channel">>} How interval in ms, detail, history */
/** @typedef {Omit<import("./feed.js").Feed, "state">} Source a `Feed` or what stands for one */
export type FeedEvent = import("./feed.js").FeedEvent;
export type Message = import("./wire.js").Message;
export type Subscription = import("./wire.js").Subscription;
export type How = Partial<Omit<Subscription, "channel">>;
export type Source = Omit<import("./feed.js").Feed, "state">;
/** How a channel is subscribed to where nothing else is said. */
export declare const DEFAULTS: {
    interval: number;
    detail: string;
    history: number;
};
/**
 * A live connection to a Pulsewire server.
 *
 * Its events are `CustomEvent`s: `message` (`detail`: a data message; each once, in order),
 * `history`, `gap`, `error` (the server's message), `status` (`{status, error}`), `transport`
 * (the name or null).
 */
export declare class Client extends EventTarget {
    #private;
    /**
     * @param {(emit: (event: FeedEvent) => void) => Source} open makes the feed
     * @param {Pick<import("./env.js").Env, "now" | "page">} env
     * @param {How} [defaults] of subscriptions
     */
    constructor(open: (emit: (event: FeedEvent) => void) => Source, env: Pick<import("./env.js").Env, "now" | "page">, defaults?: How);
    /** `connecting` until it has worked; `disconnected` also while nobody can see the page. */
    get status(): import("./feed.js").Status;
    /** The transport in use, null while there is none. */
    get transport(): import("./feed.js").Transport | null;
    /** Why there is no connection, in words for people; null if there is nothing to say. */
    get error(): string | null;
    /** The server's `connected` message, null before there was one. */
    get info(): import("./wire.js").Message | null;
    /** Milliseconds since a data message came, by this machine's own clock; null before the first. */
    get ageMs(): number | null;
    /** There is no data, or it is older than two intervals and 2 s. */
    get stale(): boolean;
    /**
     * @param {string} channel
     * @returns {Message | null} its newest data message
     */
    latest(channel: string): Message | null;
    /**
     * Subscribe to a channel, or change how; then it begins anew with a snapshot.
     *
     * @param {string} channel
     * @param {How} [how] what is left out is as `connect` was told
     */
    subscribe(channel: string, how?: How): void;
    /** @param {string} channel */
    unsubscribe(channel: string): void;
    /** End it for good. */
    close(): void;
    /**
     * The data messages from now on, until it is closed.
     *
     * @returns {AsyncGenerator<Message, void>}
     */
    [Symbol.asyncIterator](): AsyncGenerator<Message, void>;
}
