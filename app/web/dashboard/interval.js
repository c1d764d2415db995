// @ts-check
/** The switch of the interval, whose setting outlives the page. */

const KEY = "pulsewire.interval";

/** The switch on the page. */
export class IntervalSwitch {
  #storage;
  /** @type {HTMLInputElement[]} */
  #choices;

  /**
   * @param {HTMLElement} element with a radio button for each interval
   * @param {(interval: number) => void} changed told of each choice, in milliseconds
   * @param {() => Storage} [storage] may throw, as in a browser that is told to keep nothing
   */
  constructor(element, changed, storage = () => localStorage) {
    this.#storage = storage;
    this.#choices = [...element.querySelectorAll("input")];
    const before = this.#kept((kept) => kept.getItem(KEY));
    for (const choice of this.#choices) {
      if (choice.value === before) choice.checked = true;
    }
    element.addEventListener("change", () => {
      this.#kept((kept) => kept.setItem(KEY, String(this.interval)));
      changed(this.interval);
    });
  }

  /** The interval that is chosen, in milliseconds. */
  get interval() {
    return Number(this.#choices.find((choice) => choice.checked)?.value);
  }

  /**
   * @template T
   * @param {(storage: Storage) => T} use
   */
  #kept(use) {
    try {
      return use(this.#storage());
    } catch {
      return undefined;
    }
  }
}
