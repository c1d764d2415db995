// @ts-check
/**
 * Temperatures, fans and the battery, as rows: only what is warm is worth a look.
 *
 * @import { Shown } from "./list.js"
 * @import { Row } from "./table.js"
 */

import { count, duration, percent, plain, UNKNOWN } from "./figures.js";
import { fold, ranked } from "./order.js";

/** Where a sensor does not tell it, this is too warm. */
const USUAL_LIMIT = 85;
/** So near to its limit, in degrees, a sensor is worth a look. */
const NEAR = 10;
const MOST = 4; // the battery with them

/** @param {any} sensor; where it is too warm, in degrees */
export function limitOf({ high, critical }) {
  // Some chips tell 0 where they mean that there is none.
  return [high, critical].find((limit) => limit > 0) ?? USUAL_LIMIT;
}

/** @param {any} sensor of any kind */
export function nameOf({ sensor, label }) {
  return label ? `${sensor} ${label}` : sensor;
}

/** @param {any} sensor */
const nearness = (sensor) => (sensor.celsius == null ? -Infinity : sensor.celsius - limitOf(sensor));

/**
 * The hottest of all sensors by what they may have, if one is known.
 *
 * @param {any[] | null | undefined} temperatures
 */
export function hottest(temperatures) {
  const known = (temperatures ?? []).filter(({ celsius }) => celsius != null);
  return [...known].sort((a, b) => nearness(b) - nearness(a))[0];
}

/**
 * @param {any} data of `metrics`
 * @returns {boolean} whether the host has any
 */
export function hasSensors({ temperatures, fans, battery }) {
  return Boolean(temperatures?.length || fans?.length || battery);
}

/**
 * The warmest first, folded as long as they are cool; behind them the fans. The battery is always
 * to be seen.
 *
 * @param {any} data of `metrics`
 * @param {string[]} before the keys in the order that they had
 * @returns {Shown}
 */
export function sensorRows({ temperatures, fans, battery }, before) {
  const isWarm = (/** @type {any} */ sensor) => nearness(sensor) >= -NEAR;
  const keyed = keyedBy(temperatures ?? [], "temperature");
  // Five degrees more have to be there before one passes another.
  const weight = (/** @type {any} */ { item }) => 2 ** (nearness(item) / 5);
  const order = ranked(keyed, ({ key }) => key, weight, before);
  const { shown, folded } = fold(order, ({ item }) => isWarm(item), battery ? MOST - 1 : MOST);
  const turning = keyedBy(fans ?? [], "fan").map(fanRow);
  const names = [
    folded.length && `${folded.length} more ${folded.some(({ item }) => isWarm(item)) ? "sensors" : "cool"}`,
    turning.length && count(turning.length, "fan"),
  ];
  return {
    shown: [...(battery ? [batteryRow(battery)] : []), ...shown.map(temperatureRow)],
    folded: [...folded.map(temperatureRow), ...turning],
    name: names.filter(Boolean).join(", "),
  };
}

/**
 * Chips of the same kind bear the same names.
 *
 * @param {any[]} items
 * @param {string} kind
 */
function keyedBy(items, kind) {
  /** @type {Record<string, number>} */
  const seen = Object.create(null);
  return items.map((item) => {
    const name = nameOf(item);
    seen[name] = (seen[name] ?? 0) + 1;
    return { item, key: `${kind} ${name} ${seen[name]}` };
  });
}

/**
 * @param {{ item: any, key: string }} keyed
 * @returns {Row}
 */
function temperatureRow({ item, key }) {
  const text = item.celsius == null ? UNKNOWN : `${plain(Math.round(item.celsius))} °C`;
  return {
    key,
    high: nearness(item) >= 0,
    cells: [nameCell(item), { share: (100 * (item.celsius ?? 0)) / limitOf(item) }, text],
  };
}

/**
 * @param {{ item: any, key: string }} keyed
 * @returns {Row}
 */
function fanRow({ item, key }) {
  const text = item.rpm == null ? UNKNOWN : `${plain(item.rpm)} rpm`;
  return { key, cells: [nameCell(item), { share: 0 }, text] };
}

/**
 * @param {any} battery
 * @returns {Row}
 */
function batteryRow({ percent: level, charging, secsLeft }) {
  const left = secsLeft == null ? (charging ? "plugged in" : "") : `${duration(secsLeft)} left`;
  return {
    key: "battery",
    high: charging === false && (level ?? 100) < 15,
    cells: [{ text: "Battery", quiet: left }, { share: level ?? 0 }, percent(level)],
  };
}

/** @param {any} item */
function nameCell(item) {
  return { text: nameOf(item), title: nameOf(item) };
}
