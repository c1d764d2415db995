/** What is known of the path to an origin, for 30 minutes: what worked, and what was cut. */
export declare class Memory {
    #private;
    /**
     * @param {import("./env.js").Env} env
     * @param {string} base address of the server
     */
    constructor(env: import("./env.js").Env, base: string);
    /** The transport that worked last. */
    get transport(): string | undefined;
    /** Milliseconds of silence that are safe on this path. */
    get quiet(): number;
    /** @param {string} transport that works */
    works(transport: string): void;
    /**
     * Learn from the end of a connection whether the path cuts quiet ones.
     *
     * @param {{quiet: number, longest: number}} liveness of the connection
     */
    learn({ quiet, longest }: {
        quiet: number;
        longest: number;
    }): void;
    /** Forget everything: the network is another one. */
    forget(): void;
}
