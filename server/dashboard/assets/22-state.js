/* The state of the page, and its way into the address and back. */
(function () {
  "use strict";
  const bitfleet = (window.bitfleet = window.bitfleet || {});

  /**
   * @typedef {Object} State
   * @property {Object<string, number>} prices those that differ from the campaigns' own, by field.
   * @property {string} x of the plane: cost, bits, hours, frames or bpp.
   * @property {?string[]} configurations shown; null: all.
   * @property {?string[]} codecs shown; null: all.
   * @property {?string} heat configuration of the heat map; null: the one that serves best.
   * @property {string} sort of the table: accuracy or cost.
   * @property {boolean} front whether the table lists the Pareto front only.
   * @property {?string} campaign that is open.
   * @property {?string} of configuration of the open campaign.
   */

  const X = ["cost", "bits", "hours", "frames", "bpp"];

  /** @returns {State} */
  const initial = () => ({
    prices: {}, x: "cost", configurations: null, codecs: null, heat: null, sort: "accuracy", front: true,
    campaign: null, of: null,
  });

  /**
   * The state that an address tells; what makes no sense in it is left out.
   * @param {string} search with or without its ? or #.
   * @returns {State}
   */
  function parse(search) {
    const state = initial();
    const told = new URLSearchParams(String(search || "").replace(/^[?#]/, ""));
    for (const { field } of bitfleet.cost.PRICES) {
      const text = told.get(`price.${field}`);
      const value = Number(text);
      if (text && Number.isFinite(value) && value >= 0) state.prices[field] = value;
    }
    if (X.includes(told.get("x"))) state.x = told.get("x");
    for (const name of ["configurations", "codecs"]) {
      if (told.has(name)) state[name] = told.get(name).split(",").filter(Boolean);
    }
    for (const name of ["heat", "campaign", "of"]) state[name] = told.get(name) || null;
    if (told.get("sort") === "cost") state.sort = "cost";
    if (told.get("table") === "all") state.front = false;
    return state;
  }

  /**
   * The address of a state: only what differs from the initial one.
   * @param {State} state
   * @returns {string} without ? or #.
   */
  function write(state) {
    const told = new URLSearchParams();
    for (const { field } of bitfleet.cost.PRICES) {
      if (state.prices[field] != null) told.set(`price.${field}`, String(state.prices[field]));
    }
    if (state.x !== "cost") told.set("x", state.x);
    for (const name of ["configurations", "codecs"]) if (state[name]) told.set(name, state[name].join(","));
    for (const name of ["heat", "campaign", "of"]) if (state[name]) told.set(name, state[name]);
    if (state.sort !== "accuracy") told.set("sort", state.sort);
    if (!state.front) told.set("table", "all");
    return told.toString().replaceAll("%2C", ",");
  }

  bitfleet.state = { initial, parse, write, X };
})();
