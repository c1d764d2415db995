// @ts-check
/** How far back the charts go: the longer the interval, the further. */

const MINUTE = 60_000;

/**
 * @typedef {object} Span
 * @property {number} span width of a chart in milliseconds
 * @property {number} every so far apart are its marks of time, in milliseconds
 */

/**
 * The span that suits an interval.
 *
 * @param {number} intervalMs
 * @returns {Span}
 */
export function spanOf(intervalMs) {
  if (intervalMs < 5000) return { span: 5 * MINUTE, every: MINUTE };
  if (intervalMs < 15_000) return { span: 15 * MINUTE, every: 5 * MINUTE };
  if (intervalMs < 60_000) return { span: 30 * MINUTE, every: 10 * MINUTE };
  return { span: 60 * MINUTE, every: 15 * MINUTE };
}

/**
 * How many past messages fill a chart.
 *
 * @param {number} intervalMs
 */
export function pointsOf(intervalMs) {
  return Math.ceil(spanOf(intervalMs).span / intervalMs);
}
