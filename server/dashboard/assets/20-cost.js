/* What a campaign costs at the page's prices: server/costs.py, once more, in the browser.
 *
 * A cost is linear in the quantities, so a slider only changes the factors. A test holds the two
 * against each other.
 */
(function () {
  "use strict";
  const bitfleet = (window.bitfleet = window.bitfleet || {});
  const GIGA = 1e-9;
  const PER_BIT = 1 / 8e9;

  /** The prices that have a slider: field of PriceConfig, what it prices, its unit. */
  const PRICES = [
    { field: "uplink_gb", label: "bits sent", unit: "GB" },
    { field: "calibration_gb", label: "calibration frames sent", unit: "GB" },
    { field: "stored_gb_month", label: "storage", unit: "GB·month" },
    { field: "storage_months", label: "kept for", unit: "months", time: true },
    { field: "annotated_frame", label: "annotation", unit: "frame" },
    { field: "vehicle_hour", label: "vehicles", unit: "vehicle-hour" },
    { field: "trained_gigapixel", label: "training", unit: "gigapixel" },
    { field: "restorer_gigapixel", label: "restorer training", unit: "gigapixel" },
    { field: "restored_gigapixel", label: "restoring", unit: "gigapixel" },
    { field: "decoded_gigapixel", label: "decoding", unit: "gigapixel" },
    { field: "encoded_gigapixel", label: "encoding", unit: "gigapixel" },
  ];

  /** Calibration frames cost what other bits do, unless they have a price of their own. */
  const calibration = (p) => (p.calibration_gb == null ? p.uplink_gb : p.calibration_gb);

  /** The ledger's lines: the item, the quantities that it counts, their unit, its price a unit. */
  const LINES = [
    { item: "vehicle hours", of: ["vehicle_hours"], unit: "h", price: (p) => p.vehicle_hour },
    { item: "bits committed", of: ["bits_committed"], unit: "bit", price: (p) => p.uplink_gb * PER_BIT },
    { item: "bits retransmitted", of: ["bits_retransmitted"], unit: "bit", price: (p) => p.uplink_gb * PER_BIT },
    { item: "bits refused", of: ["bits_refused"], unit: "bit", price: (p) => p.uplink_gb * PER_BIT },
    { item: "bits of calibration frames", of: ["bits_calibration"], unit: "bit", price: (p) => calibration(p) * PER_BIT },
    { item: "bits unfinished", of: ["bits_unfinished"], unit: "bit", price: (p) => p.uplink_gb * PER_BIT },
    { item: "bits stored", of: ["bits_committed", "bits_calibration_stored"], unit: "bit", price: (p) => p.stored_gb_month * p.storage_months * PER_BIT },
    { item: "frames annotated", of: ["frames_annotated"], unit: "frame", price: (p) => p.annotated_frame },
    { item: "encoding", of: ["pixels_encoded"], unit: "pixel", price: (p) => p.encoded_gigapixel * GIGA },
    { item: "decoding", of: ["pixels_decoded"], unit: "pixel", price: (p) => p.decoded_gigapixel * GIGA },
    { item: "training", of: ["pixels_trained"], unit: "pixel", price: (p) => p.trained_gigapixel * GIGA },
    { item: "restorer training", of: ["pixels_restorer"], unit: "pixel", price: (p) => p.restorer_gigapixel * GIGA },
    { item: "restoring", of: ["pixels_restored"], unit: "pixel", price: (p) => p.restored_gigapixel * GIGA },
  ];

  /** The quantities that go over the links. */
  const SENT = ["bits_committed", "bits_retransmitted", "bits_refused", "bits_calibration", "bits_unfinished"];

  /**
   * The ledger of some quantities.
   * @param {Object<string, number>} quantities by name.
   * @param {Object<string, ?number>} prices by field.
   * @returns {{item: string, quantity: number, unit: string, price: number, cost: number}[]}
   */
  function ledger(quantities, prices) {
    return LINES.map((line) => {
      const quantity = line.of.reduce((sum, name) => sum + quantities[name], 0);
      const price = line.price(prices);
      return { item: line.item, quantity, unit: line.unit, price, cost: quantity * price };
    });
  }

  /**
   * What a unit of each quantity comes to, all lines that count it together.
   * @param {Object<string, ?number>} prices by field.
   * @returns {Object<string, number>} by quantity.
   */
  function factors(prices) {
    const found = {};
    for (const line of LINES) {
      for (const name of line.of) found[name] = (found[name] || 0) + line.price(prices);
    }
    return found;
  }

  /**
   * Sums of quantities times factors for many campaigns at once.
   * @param {Object<string, ArrayLike<number>>} columns the quantities, an array each.
   * @param {Object<string, number>} factor by quantity; those left out count nothing.
   * @param {number} count length of the arrays.
   * @returns {Float64Array}
   */
  function weigh(columns, factor, count) {
    const sums = new Float64Array(count);
    for (const [name, value] of Object.entries(factor)) {
      if (value === 0) continue;
      const column = columns[name];
      for (let n = 0; n < count; n += 1) sums[n] += column[n] * value;
    }
    return sums;
  }

  bitfleet.cost = { PRICES, SENT, ledger, factors, weigh };
})();
