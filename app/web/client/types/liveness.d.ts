/** Whether anything still comes. It looks at clocks and needs no timer that runs in time. */
export declare class Liveness {
    #private;
    /** Milliseconds of silence after which nothing will come any more. */
    limit: number;
    /** The longest silence that was followed by something, in milliseconds. */
    longest: number;
    /** @param {import("./env.js").Env} env */
    constructor(env: import("./env.js").Env);
    /** Take note that something came. */
    heard(): void;
    /** Expect something soon: an answer to a ping. */
    suspect(): void;
    /** Milliseconds since anything came. The monotonic clock may stand while the machine sleeps. */
    get quiet(): number;
    get dead(): boolean;
}
