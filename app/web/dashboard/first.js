// @ts-check
/**
 * The first look: what the server has of the past, in one plain answer.
 *
 * It is there before a transport has proven itself, which takes seconds where a proxy is in the way.
 *
 * @import { Message } from "./series.js"
 */

/**
 * Ask for the newest figures and those before them.
 *
 * @param {{ interval: number, detail: string, history: number }} wanted
 * @returns {Promise<Message[]>} oldest first; none if the server could not be asked, which is for
 *   the connection to tell
 */
export async function firstLook({ interval, detail, history }) {
  const query = `channels=metrics:${interval}:${detail}&history=${history}&wait=0`;
  try {
    const response = await fetch(`api/poll?${query}`);
    const { messages = [] } = await response.json();
    /** @type {Message[]} */
    const all = messages.flatMap((/** @type {any} */ message) => message.items ?? message);
    return all.filter(({ type }) => type === "metrics" || type === "gap");
  } catch {
    return [];
  }
}
