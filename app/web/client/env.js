// @ts-check
/** What the client takes from around it; tests give something else. */

/**
 * @typedef {object} Store what `localStorage` has
 * @property {(key: string) => string | null} getItem
 * @property {(key: string, value: string) => void} setItem
 * @property {(key: string) => void} removeItem
 */

/**
 * @typedef {object} Env
 * @property {() => number} now monotonic milliseconds
 * @property {() => number} wall milliseconds since the epoch; goes on while the machine sleeps
 * @property {() => number} random from 0 up to 1
 * @property {(run: () => void, ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 * @property {typeof globalThis.fetch} fetch
 * @property {typeof globalThis.WebSocket} WebSocket
 * @property {Store} storage
 * @property {(changed: () => void) => () => void} network calls `changed` when the network is
 *   another one or is back, until the returned function is called
 * @property {(Window & typeof globalThis) | undefined} page where there is one
 */

/** @type {Map<string, string>} */
const forgetful = new Map();

/** Where there is no storage, or none is allowed: as long as the page or the worker lives. */
const memory = {
  getItem: (/** @type {string} */ key) => forgetful.get(key) ?? null,
  setItem: (/** @type {string} */ key, /** @type {string} */ value) => void forgetful.set(key, value),
  removeItem: (/** @type {string} */ key) => void forgetful.delete(key),
};

/** @returns {Store} */
function storage() {
  try {
    return globalThis.localStorage ?? memory;
  } catch {
    return memory;
  }
}

/** @param {() => void} changed */
function network(changed) {
  const { connection } = /** @type {any} */ (globalThis.navigator ?? {});
  let type = connection?.type;
  // It also tells of every new guess at the speed.
  const compare = () => type !== (type = connection.type) && changed();
  globalThis.addEventListener?.("online", changed);
  connection?.addEventListener?.("change", compare);
  return () => {
    globalThis.removeEventListener?.("online", changed);
    connection?.removeEventListener?.("change", compare);
  };
}

/**
 * The surroundings that a browser, a worker or Node has.
 *
 * @param {Partial<Env>} [given] what to take instead
 * @returns {Env}
 */
export const surroundings = (given) => ({
  now: () => performance.now(),
  wall: Date.now,
  random: Math.random,
  setTimeout: (run, ms) => setTimeout(run, ms),
  clearTimeout: (timer) => clearTimeout(timer),
  fetch: (input, init) => fetch(input, init),
  WebSocket: globalThis.WebSocket,
  storage: storage(),
  network,
  page: globalThis.document && globalThis.window,
  ...given,
});
