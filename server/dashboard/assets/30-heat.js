/* The grid of the heat map: fleet sizes × bitrates, of the points of one configuration. */
(function () {
  "use strict";
  const bitfleet = (window.bitfleet = window.bitfleet || {});
  const { significant, field, money } = bitfleet.units;

  /** Budget fields that say a bitrate, the first that varies wins; otherwise bpp is. */
  const FIELDS = ["budget.bits_per_hour", "budget.bits_per_frame", "budget.campaign_bits"];
  const BINS = 8;

  /** The bitrate of every point, and what it is called; made once a table. */
  function rates(model) {
    const { table, points } = model;
    if (points.rates) return points.rates;
    const name = FIELDS.find((one) => new Set(table.column[`config.${one}`] || []).size > 1 && table.varied.includes(one));
    if (name) {
      const values = points.rows.map((of) => table.column[`config.${name}`][of[0]]);
      points.rates = { name: `${field(name)} of a vehicle`.replace("campaign bits of a vehicle", "bits of the campaign"), values };
      return points.rates;
    }
    const rounded = Array.from(points.bpp, (bpp) => (Number.isFinite(bpp) ? Number(bpp.toPrecision(2)) : null));
    const distinct = [...new Set(rounded)].filter((v) => v != null).sort((a, b) => a - b);
    if (distinct.length <= 12) {
      points.rates = { name: "bits per pixel, bpp", values: rounded };
      return points.rates;
    }
    // Bins of equal ratio, each called by its middle.
    const low = Math.log(Math.max(distinct[0], 1e-6));
    const step = (Math.log(distinct[distinct.length - 1]) - low) / BINS || 1;
    const middle = (bpp) => Number(Math.exp(low + (Math.min(BINS - 1, Math.floor((Math.log(Math.max(bpp, 1e-6)) - low) / step)) + 0.5) * step).toPrecision(2));
    points.rates = { name: "bits per pixel, bpp (middle of a range)", values: rounded.map((bpp) => (bpp == null ? null : middle(bpp))) };
    return points.rates;
  }

  /** The bitrate of a point. */
  const rateOf = (model, n) => rates(model).values[n];

  /** The configuration that the heat map shows: the chosen one, else the first that serves on originals. */
  function chosen(model) {
    const { points, state } = model;
    if (state.heat && points.configurations.includes(state.heat)) return state.heat;
    return ["CO", "RO"].find((name) => points.configurations.includes(name)) || points.configurations[0];
  }

  /**
   * Means over the points of each cell, at the model's prices.
   * @returns {?Object} rates, fleets, and per fleet a row: miou in %, cost, text; cells (a point: the
   *   most accurate of the cell); null without points.
   */
  function grid(model) {
    const { points, shown, cost } = model;
    const { name, values } = rates(model);
    const configuration = chosen(model);
    const of = shown.filter((n) => points.configuration[n] === configuration && values[n] != null);
    if (!of.length) return null;
    const sorted = (all) => [...new Set(all)].sort((a, b) => a - b);
    const columns = sorted(of.map((n) => values[n]));
    const fleets = sorted(of.map((n) => points.vehicles[n]));
    const place = [new Map(columns.map((v, n) => [v, n])), new Map(fleets.map((v, n) => [v, n]))];
    const make = () => fleets.map(() => columns.map(() => null));
    const found = { name, configuration, rates: columns, fleets, miou: make(), cost: make(), text: make(), cells: make(), n: make() };
    for (const n of of) {
      const [row, column] = [place[1].get(points.vehicles[n]), place[0].get(values[n])];
      found.n[row][column] += 1;
      found.miou[row][column] += points.miou[n];
      found.cost[row][column] += cost[n];
      const best = found.cells[row][column];
      if (best == null || points.miou[n] > points.miou[best]) found.cells[row][column] = n;
    }
    for (let row = 0; row < fleets.length; row += 1) {
      for (let column = 0; column < columns.length; column += 1) {
        const n = found.n[row][column];
        if (!n) continue;
        found.miou[row][column] /= n;
        found.cost[row][column] /= n;
        found.text[row][column] =
          `${configuration}: mIoU ${found.miou[row][column].toFixed(1)} %<br>${fleets[row]} vehicles, ${significant(columns[column])}` +
          `<br>cost ${money(found.cost[row][column])}<br>mean of ${n} ${n === 1 ? "point" : "points"}`;
      }
    }
    return found;
  }

  bitfleet.heat = { grid, rateOf, chosen };
})();
