/** What the client takes from around it; tests give something else. */
export type Store = {
    getItem: (key: string) => string | null;
    setItem: (key: string, value: string) => void;
    removeItem: (key: string) => void;
};
export type Env = {
    /**
     * monotonic milliseconds
     */
    now: () => number;
    /**
     * milliseconds since the epoch; goes on while the machine sleeps
     */
    wall: () => number;
    /**
     * from 0 up to 1
     */
    random: () => number;
    setTimeout: (run: () => void, ms: number) => any;
    clearTimeout: (timer: any) => void;
    fetch: typeof globalThis.fetch;
    WebSocket: typeof globalThis.WebSocket;
    storage: Store;
    /**
     * calls `changed` when the network is
     * another one or is back, until the returned function is called
     */
    network: (changed: () => void) => () => void;
    /**
     * where there is one
     */
    page: (Window & typeof globalThis) | undefined;
};
/**
 * The surroundings that a browser, a worker or Node has.
 *
 * @param {Partial<Env>} [given] what to take instead
 * @returns {Env}
 */
export declare const surroundings: (given?: Partial<Env>) => Env;
