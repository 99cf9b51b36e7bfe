/* From the server's columns to points: rows that differ by seed only are one point with an interval. */
(function () {
  "use strict";
  const bitfleet = (window.bitfleet = window.bitfleet || {});

  /** Student's t, two-sided 95 %, for 1 … 30 degrees of freedom. */
  const T95 = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131,
    2.12, 2.11, 2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
  ];
  const t95 = (freedom) => T95[freedom - 1] || 1.96 + 2.37 / freedom + 2.8 / freedom ** 2;

  /** The order in which configurations are listed and drawn. */
  const ORDER = ["OO", "CC", "CO", "RO", "RR", "RC", "OR", "OC", "AO", "BO", "MO"];

  /**
   * @typedef {Object} Table rows in columns, as they came.
   * @property {number} rows
   * @property {Object<string, any[]>} column by name.
   * @property {string[]} varied dotted config fields that set campaigns apart.
   */

  /** A column of server/dashboard/columns.py as an array. */
  function decode(column, rows) {
    if ("each" in column) return column.each;
    if ("of" in column) return column.at.map((index) => column.of[index]);
    return new Array(rows).fill(column.all);
  }

  /**
   * A table with what news brings.
   * @param {?Table} table so far.
   * @param {Object} news of server/dashboard/catalogue.py.
   * @returns {Table}
   */
  function extend(table, news) {
    const old = table && !news.reset ? table : { rows: 0, column: {} };
    const column = {};
    const names = new Set([...Object.keys(old.column), ...Object.keys(news.columns)]);
    for (const name of names) {
      const before = old.column[name] || new Array(old.rows).fill(null);
      const added = decode(news.columns[name] || { all: null }, news.rows);
      column[name] = before.concat(added);
    }
    return { rows: old.rows + news.rows, column, varied: news.varied };
  }

  /**
   * Points of a table: the rows of one configuration that differ by seed only.
   *
   * Quantities are means over the seeds, so that a point's cost is the mean of its campaigns'. A
   * campaign that repeats another's seed is a point of its own: it is no further evidence.
   *
   * @param {Table} table
   * @returns {Object} points as arrays: rows, seeds, miou and half (of the 95 % interval; NaN for one
   *   seed) in %, bpp, quantity by name; all of length count.
   */
  function group(table) {
    const { column } = table;
    const apart = ["configuration", "codec", "restorer"].map((name) => column[name] || []);
    for (const name of table.varied) if (column[`config.${name}`]) apart.push(column[`config.${name}`]);
    const index = new Map();
    const rows = [];
    for (let row = 0; row < table.rows; row += 1) {
      if (column.miou[row] == null) continue;
      const seed = column.seed[row];
      const key = JSON.stringify(apart.map((values) => values[row]));
      const groups = index.get(key) || [];
      index.set(key, groups);
      let place = groups.find((one) => !one.seeds.has(seed));
      if (!place) {
        place = { seeds: new Set(), rows: [] };
        groups.push(place);
        rows.push(place.rows);
      }
      place.seeds.add(seed);
      place.rows.push(row);
    }
    const count = rows.length;
    const mean = (values) => Float64Array.from(rows, (of) => of.reduce((sum, row) => sum + values[row], 0) / of.length);
    const points = { count, rows, quantity: {}, bpp: mean((column.bpp || []).map((v) => (v == null ? NaN : v))) };
    for (const name of Object.keys(column)) {
      if (name.startsWith("quantity.")) points.quantity[name.slice(9)] = mean(column[name]);
    }
    points.miou = mean((column.miou || []).map((v) => 100 * v));
    points.half = Float64Array.from(rows, (of, n) => {
      if (of.length < 2) return NaN;
      const squares = of.reduce((sum, row) => sum + (100 * column.miou[row] - points.miou[n]) ** 2, 0);
      return t95(of.length - 1) * Math.sqrt(squares / (of.length - 1) / of.length);
    });
    for (const name of ["configuration", "codec", "restorer", "vehicles"]) {
      points[name] = rows.map((of) => column[name][of[0]]);
    }
    points.configurations = ORDER.filter((name) => points.configuration.includes(name));
    points.codecs = [...new Set(points.codec)].sort();
    return points;
  }

  /**
   * The Pareto front: the points that no other beats with less of x and more of y.
   * @param {ArrayLike<number>} x less is better.
   * @param {ArrayLike<number>} y more is better.
   * @param {number[]} shown the points that take part.
   * @returns {number[]} from the least x on.
   */
  function front(x, y, shown) {
    const sorted = shown.filter((n) => Number.isFinite(x[n])).sort((a, b) => x[a] - x[b] || y[b] - y[a]);
    const found = [];
    let best = -Infinity;
    for (const n of sorted) {
      if (y[n] > best) {
        best = y[n];
        found.push(n);
      }
    }
    return found;
  }

  /** The points that the state's configurations and codecs let through. */
  function shown(points, state) {
    const configurations = state.configurations && new Set(state.configurations);
    const codecs = state.codecs && new Set(state.codecs);
    const found = [];
    for (let n = 0; n < points.count; n += 1) {
      if (configurations && !configurations.has(points.configuration[n])) continue;
      if (codecs && !codecs.has(points.codec[n])) continue;
      found.push(n);
    }
    return found;
  }

  /** What a point is, in words: its configuration, codec, restorer and varied values. */
  function words(table, points, n) {
    const row = points.rows[n][0];
    const told = [points.configuration[n], points.codec[n]];
    if (points.restorer[n]) told.push(points.restorer[n]);
    for (const name of table.varied) {
      const value = table.column[`config.${name}`] && table.column[`config.${name}`][row];
      if (value != null && !name.startsWith("codec.name")) told.push(`${bitfleet.units.field(name)} ${bitfleet.units.plain(value)}`);
    }
    return told;
  }

  bitfleet.points = { extend, group, front, shown, words, t95, ORDER };
})();
