// @ts-check
/** Figures as people read them; numbers in the way of the reader's own language. */

/** What stands for a figure that is not known. */
export const UNKNOWN = "–";

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** @param {number} digits behind the point */
function fixed(digits) {
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return new Intl.NumberFormat(undefined, options).format;
}

/** Format with one or two digits behind the point. */
export const tenths = fixed(1);
export const hundredths = fixed(2);

/** Format a figure with as many digits as it needs, three behind the point at most. */
export const plain = new Intl.NumberFormat(undefined, {
  maximumFractionDigits: 3,
  useGrouping: "min2",
}).format;

/**
 * Say how much of something is used, both in the unit that suits the whole.
 *
 * @param {number} used bytes
 * @param {number} total bytes
 */
export function share(used, total) {
  const power = Math.floor(Math.log2(Math.max(total, 1)) / 10);
  const unit = Math.min(power, UNITS.length - 1);
  const size = 1024 ** unit;
  return `${tenths(used / size)} of ${tenths(total / size)} ${UNITS[unit]}`;
}

/**
 * Say a number of bytes in the unit that suits it, in four characters at most before that.
 *
 * @param {number | null} [bytes]
 */
export function size(bytes) {
  if (bytes == null) return UNKNOWN;
  let unit = 0;
  let scaled = bytes;
  for (; Math.round(scaled) >= 1000 && unit < UNITS.length - 1; unit += 1) scaled /= 1024;
  const isSmall = unit > 0 && scaled < 9.95;
  return `${isSmall ? tenths(scaled) : plain(Math.round(scaled))} ${UNITS[unit]}`;
}

/**
 * Say how many bytes come in a second.
 *
 * @param {number | null} [bytes]
 */
export function rate(bytes) {
  return bytes == null ? UNKNOWN : `${size(bytes)}/s`;
}

/**
 * Say a share, in whole percents.
 *
 * @param {number | null} [share]
 */
export function percent(share) {
  return share == null ? UNKNOWN : `${plain(Math.round(share))} %`;
}

/**
 * Say a share of one processor: of many programs it is less than a percent.
 *
 * @param {number | null} [share]
 */
export function fine(share) {
  return share == null ? UNKNOWN : `${tenths(share)} %`;
}

/**
 * Say how long something takes.
 *
 * @param {number | null} [ms]
 */
export function latency(ms) {
  if (ms == null) return UNKNOWN;
  return ms < 1000 ? `${ms < 9.95 ? tenths(ms) : plain(Math.round(ms))} ms` : `${tenths(ms / 1000)} s`;
}

/**
 * Say how many there are of something.
 *
 * @param {number} number
 * @param {string} one
 * @param {string} [many]
 */
export function count(number, one, many = `${one}s`) {
  return `${plain(number)} ${number === 1 ? one : many}`;
}

/**
 * Say how long something has lasted, by its two greatest units.
 *
 * @param {number} seconds
 */
export function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (days) return `${plain(days)} d ${hours % 24} h`;
  if (hours && minutes % 60) return `${hours} h ${minutes % 60} min`;
  return hours ? `${hours} h` : `${minutes} min`;
}

/**
 * Say how old data is.
 *
 * @param {number | null} ms
 */
export function age(ms) {
  if (ms === null) return "no data yet";
  const seconds = Math.max(0, Math.round(ms / 1000));
  return `${seconds < 120 ? `${seconds} s` : duration(seconds)} old`;
}
