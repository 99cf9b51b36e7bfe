/* The grid of the heat map: fleet sizes × bitrates, of the points of one configuration. */
(function () {
  "use strict";
  const bitfleet = (window.bitfleet = window.bitfleet || {});
  const { significant, money } = bitfleet.units;

  /** Budget fields that say a bitrate, the first that varies wins; otherwise bpp is. */
  const FIELDS = ["budget.bits_per_hour", "budget.bits_per_frame", "budget.campaign_bits"];
  /** More distinct values than this are put into so many bins. */
  const MOST = 16;
  const BINS = 12;

  /** Values as they are if they are few, else the middles of bins of equal ratio; null stays null. */
  function binned(values) {
    const distinct = [...new Set(values)].filter((v) => v != null).sort((a, b) => a - b);
    if (distinct.length <= MOST) return { values, binned: false };
    const low = Math.log(Math.max(distinct[0], 1e-9));
    const step = (Math.log(distinct[distinct.length - 1]) - low) / BINS;
    const bin = (v) => Math.max(0, Math.min(BINS - 1, Math.floor((Math.log(Math.max(v, 1e-9)) - low) / step)));
    const middles = Array.from({ length: BINS }, (_, n) => Number(Math.exp(low + (n + 0.5) * step).toPrecision(2)));
    return { values: values.map((v) => (v == null ? null : middles[bin(v)])), binned: true };
  }

  /** The bitrate and the fleet size of every point, and what they are called; made once a table. */
  function places(model) {
    const { table, points } = model;
    if (points.places) return points.places;
    const varied = FIELDS.find((one) => table.varied.includes(one) && new Set(table.column[`config.${one}`] || []).size > 1);
    const rates = binned(varied
      ? points.rows.map((of) => table.column[`config.${varied}`][of[0]])
      : Array.from(points.bpp, (bpp) => (Number.isFinite(bpp) ? Number(bpp.toPrecision(2)) : null)));
    const fleets = binned(points.vehicles);
    const named = (name, found) => (found.binned ? `${name} (middle of a range)` : name);
    const bitrate = { "budget.bits_per_hour": "bits per hour of a vehicle", "budget.bits_per_frame": "bits per frame", "budget.campaign_bits": "bits of the campaign" };
    points.places = {
      rates: rates.values, fleets: fleets.values,
      rate: named(bitrate[varied] || "bits per pixel, bpp", rates), fleet: named("vehicles", fleets),
    };
    return points.places;
  }

  /** The bitrate of a point. */
  const rateOf = (model, n) => places(model).rates[n];

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
    const { rate, fleet, rates: values, fleets: sizes } = places(model);
    const configuration = chosen(model);
    const of = shown.filter((n) => points.configuration[n] === configuration && values[n] != null);
    if (!of.length) return null;
    const sorted = (all) => [...new Set(all)].sort((a, b) => a - b);
    const columns = sorted(of.map((n) => values[n]));
    const fleets = sorted(of.map((n) => sizes[n]));
    const place = [new Map(columns.map((v, n) => [v, n])), new Map(fleets.map((v, n) => [v, n]))];
    const make = () => fleets.map(() => columns.map(() => null));
    const found = { rate, fleet, configuration, rates: columns, fleets, miou: make(), cost: make(), text: make(), cells: make(), n: make() };
    for (const n of of) {
      const [row, column] = [place[1].get(sizes[n]), place[0].get(values[n])];
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
