export type End = import("./wire.js").End;
export type Message = import("./wire.js").Message;
export type Subscription = import("./wire.js").Subscription;
export type Wire = import("./wire.js").Wire;
export type Status = "connecting" | "connected" | "reconnecting" | "disconnected";
export type Transport = "websocket" | "sse" | "longpoll" | "polling";
export type FeedOptions = {
    /**
     * base address of the server, with a slash at its end
     */
    url: string;
    channels: Subscription[];
    /**
     * best first
     */
    transports: Transport[];
    token: string | null;
    /**
     * the `cursors` of another feed's state
     */
    resume?: Record<string, string>;
};
export type FeedEvent = {
    kind: "message" | "history" | "gap" | "error";
    message: Message;
    age?: number;
} | {
    kind: "info";
    info: Message;
} | {
    kind: "status";
    status: Status;
    error: string | null;
} | {
    kind: "transport";
    transport: Transport | null;
};
/** One logical stream of messages, whatever wires it comes over: exactly once and in order. */
export declare class Feed {
    #private;
    /**
     * @param {FeedOptions} options
     * @param {Partial<import("./env.js").Env>} env
     * @param {(event: FeedEvent) => void} emit
     */
    constructor({ url, channels, transports, token, resume }: FeedOptions, env: Partial<import("./env.js").Env>, emit: (event: FeedEvent) => void);
    start(): void;
    /**
     * Subscribe to a channel, or change how: then it begins anew, with a snapshot.
     *
     * @param {string} channel
     * @param {Omit<Subscription, "channel">} how
     */
    subscribe(channel: string, { interval, detail, history }: Omit<Subscription, "channel">): void;
    /** @param {string} channel */
    unsubscribe(channel: string): void;
    /** @param {boolean} visible whether anybody can see it; if not for 30 s, it lets go of the server */
    visible(visible: boolean): void;
    /** Look at the clock and the wire now: timers may have been throttled. */
    check(): void;
    close(): void;
    /** A snapshot that can be sent elsewhere; `resume: cursors` makes another feed go on from here. */
    state(): {
        status: Status;
        error: string | null;
        transport: Transport | null;
        info: import("./wire.js").Message | null;
        latest: {
            [k: string]: import("./wire.js").Message;
        };
        /** Milliseconds since each of them came. */
        ages: {
            [k: string]: number;
        };
        cursors: Record<string, string>;
    };
}
