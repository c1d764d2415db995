// @ts-check
/** What comes first in a list, and what is folded away, without rows that jump about. */

/** An item has to be so much busier than another one to pass it. */
const LEAD = 1.2;

/**
 * The busiest first. Of two that are about as busy, the one that was before the other stays so.
 *
 * @template Item
 * @param {Item[]} items
 * @param {(item: Item) => string} key names an item
 * @param {(item: Item) => number} weight how busy it is, 0 and up
 * @param {string[]} [before] the keys in the order that they had
 * @returns {Item[]}
 */
export function ranked(items, key, weight, before = []) {
  const places = new Map(before.map((name, place) => [name, place]));
  const weighed = items.map((item) => ({ item, weight: weight(item), place: places.get(key(item)) }));
  const known = weighed.filter(({ place }) => place !== undefined);
  known.sort((a, b) => Number(a.place) - Number(b.place));
  const strangers = weighed.filter(({ place }) => place === undefined);
  /** @type {typeof weighed} */
  const order = [];
  for (const each of [...known, ...strangers]) {
    const lead = each.place === undefined ? 1 : LEAD;
    let at = order.length;
    while (at && each.weight > lead * order[at - 1].weight) at -= 1;
    order.splice(at, 0, each);
  }
  return order.map(({ item }) => item);
}

/**
 * Items in order, as far as they are shown, and those that are folded away.
 *
 * @template Item
 * @param {Item[]} items in order
 * @param {(item: Item) => boolean} isBusy whether it is worth a look
 * @param {number} most that are shown
 * @param {number} [least] that are shown even if they are idle
 * @returns {{ shown: Item[], folded: Item[], busy: number }} and how many of the folded are busy
 */
export function fold(items, isBusy, most, least = 1) {
  const shown = items.filter((item, index) => index < most && (index < least || isBusy(item)));
  const folded = items.filter((item) => !shown.includes(item));
  return { shown, folded, busy: folded.filter(isBusy).length };
}

/**
 * What the fold is called.
 *
 * @param {{ folded: unknown[], busy: number }} parts
 * @param {string} idle what those are that are not worth a look
 */
export function foldName({ folded, busy }, idle) {
  const parts = [busy && `${busy} more`, folded.length - busy && `${folded.length - busy} ${idle}`];
  return parts.filter(Boolean).join(", ");
}
