/* The figures, as Plotly's JSON: functions of a model, which page.js makes of table, prices and state.
 *
 * Colours are Okabe and Ito's, told apart by people with any colour vision; every configuration has a
 * marker of its own besides.
 */
(function () {
  "use strict";
  const bitfleet = (window.bitfleet = window.bitfleet || {});
  const { significant, plain } = bitfleet.units;

  /** Marker, colour and a glyph for the legend of each configuration; "ink" follows the page. */
  const LOOKS = {
    OO: ["circle", "ink", "●"], CC: ["square", "#e69f00", "■"], CO: ["diamond", "#0072b2", "◆"],
    RO: ["triangle-up", "#009e73", "▲"], RR: ["triangle-down", "#cc79a7", "▼"], RC: ["cross", "#56b4e9", "✚"],
    OR: ["x", "#8a7d00", "✖"], OC: ["pentagon", "#d55e00", "⬟"], AO: ["star", "#56b4e9", "★"],
    BO: ["hexagram", "#d55e00", "✶"], MO: ["hourglass", "#e69f00", "⧗"],
  };
  /** Up to so many points are drawn as SVG, with an interval each; more on the GPU. */
  const FEW = 400;
  /** Spots across and up the picture, of about a marker's size; fewer while a slider moves. */
  const SPOTS = [180, 70];
  const MOVING = [64, 24];
  const DASHES = ["solid", "dash", "dot", "dashdot", "longdash"];
  const SCALE = [[0, "#f4f7fb"], [0.5, "#a3c8e8"], [1, "#2f74b5"]];

  /** The page's colours, light or dark. */
  function theme() {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(`--${name}`).trim();
    return { ink: of("ink"), muted: of("muted"), rule: of("rule"), page: of("page"), font: of("font"), dark: matchMedia("(prefers-color-scheme: dark)").matches };
  }
  /** Okabe and Ito's blue is too dark for a dark page. */
  const colour = (name, t) => (LOOKS[name][1] === "ink" ? t.ink : t.dark && name === "CO" ? "#4aa5e6" : LOOKS[name][1]);
  const safe = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

  /** A layout with both axes named. */
  function layout(t, x, y, more = {}) {
    const axis = (title, own) => ({
      title: { text: title, font: { size: 13, color: t.muted }, standoff: 8 }, color: t.muted, gridcolor: t.rule,
      zeroline: false, automargin: true, linecolor: t.rule, ...own,
    });
    const { xaxis, yaxis, ...rest } = more;
    return {
      margin: { l: 56, r: 16, t: 12, b: 48 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: t.font, size: 13, color: t.ink }, hovermode: "closest", showlegend: false, dragmode: "pan",
      hoverlabel: { bgcolor: t.page, bordercolor: t.muted, font: { color: t.ink, family: t.font }, align: "left" },
      xaxis: axis(x, xaxis), yaxis: axis(y, yaxis), modebar: { bgcolor: "rgba(0,0,0,0)", color: t.muted, activecolor: t.ink },
      ...rest,
    };
  }

  /** An empty figure that says what is missing. */
  function empty(text) {
    const t = theme();
    return {
      data: [],
      layout: layout(t, "", "", {
        xaxis: { visible: false }, yaxis: { visible: false },
        annotations: [{ text: safe(text), showarrow: false, font: { color: t.muted, size: 14 }, xref: "paper", yref: "paper", x: 0.5, y: 0.5 }],
      }),
    };
  }

  /** What a point's hover says of it; made once a table. */
  function hover(model) {
    const { table, points } = model;
    points.hover = points.hover || points.rows.map((of, n) => {
      const half = points.half[n];
      const interval = Number.isFinite(half) ? ` ± ${significant(half, 2)} (95 %, n = ${of.length})` : " (one seed)";
      return `${safe(bitfleet.points.words(table, points, n).join(" · "))}<br>mIoU ${points.miou[n].toFixed(1)} %${interval}`;
    });
    return points.hover;
  }

  /**
   * Of many points, one for each spot of the picture: a marker beneath another of its kind is not seen,
   * and drawing it is what takes a browser without a GPU long.
   * @returns {number[]} of each of these points.
   */
  function apart(of, x, y, log, spots) {
    const range = (values) => {
      let [low, high] = [Infinity, -Infinity];
      for (const n of of) {
        if (values[n] < low) low = values[n];
        if (values[n] > high) high = values[n];
      }
      return [low, high];
    };
    const [left, right] = range(x).map((v) => (log ? Math.log(v) : v));
    const [below, above] = range(y);
    const [across, up] = [spots[0] / (right - left || 1), spots[1] / (above - below || 1)];
    const taken = new Uint8Array((spots[0] + 1) * (spots[1] + 1));
    return of.filter((n) => {
      const column = Math.floor(((log ? Math.log(x[n]) : x[n]) - left) * across);
      const spot = column + (spots[0] + 1) * Math.floor((y[n] - below) * up);
      if (taken[spot]) return false;
      taken[spot] = 1;
      return true;
    });
  }

  /** Points by configuration, as traces; `x` and `y` are arrays over all points. */
  function clouds(model, x, y, t, tell, log = false) {
    const { points, shown } = model;
    const text = hover(model);
    const few = shown.length <= FEW;
    return points.configurations.map((name) => {
      const all = shown.filter((n) => points.configuration[n] === name);
      const of = few ? all : apart(all, x, y, log, model.moving ? MOVING : SPOTS);
      const half = of.map((n) => points.half[n]);
      return {
        type: few ? "scatter" : "scattergl", mode: "markers", name,
        x: of.map((n) => x[n]), y: of.map((n) => y[n]), text: of.map((n) => text[n]), customdata: of,
        hovertemplate: `%{text}<br>${tell}<extra></extra>`,
        marker: { symbol: LOOKS[name][0], color: colour(name, t), size: few ? 10 : 6, opacity: few ? 0.9 : 0.6, line: few ? { color: t.page, width: 1 } : undefined },
        error_y: few && half.some(Number.isFinite)
          ? { type: "data", array: half, color: colour(name, t), thickness: 1, width: 3 } : undefined,
      };
    });
  }

  /** The x axes that the plane can have: name, and the hover's line. */
  const axes = (currency) => ({
    cost: [`total cost, ${currency}`, `cost %{x:,.5~g} ${safe(currency)}`], bits: ["bits sent, Gbit", "%{x:,.4~g} Gbit sent"],
    hours: ["vehicle-hours, h", "%{x:,.6~g} vehicle-hours"], frames: ["frames annotated", "%{x:,.6~g} frames annotated"],
    bpp: ["bits per pixel, bpp", "%{x:.3~g} bpp"],
  });

  /** The cost–accuracy plane with its Pareto front. */
  function plane(model) {
    const t = theme();
    const { points, shown, x, front, state } = model;
    if (!shown.length) return empty(model.emptiness);
    const [title, tell] = axes(model.currency)[state.x];
    let least = Infinity;
    let most = -Infinity;
    for (const n of shown) {
      if (x[n] < least) least = x[n];
      if (x[n] > most) most = x[n];
    }
    const log = least > 0 && most > 12 * least;
    const data = clouds(model, x, points.miou, t, tell, log);
    const at = (values) => front.map((n) => values[n]);
    data.push({
      type: "scatter", mode: "lines+markers", name: "Pareto front", x: at(x), y: at(points.miou), hoverinfo: "skip",
      line: { shape: "hv", color: t.ink, width: 1.5 }, customdata: front,
      marker: { symbol: "circle-open", size: 17, color: t.ink, line: { width: 1.5 } },
      error_y: shown.length > FEW && front.some((n) => Number.isFinite(points.half[n]))
        ? { type: "data", array: at(points.half), color: t.ink, thickness: 1, width: 3 } : undefined,
    });
    return {
      data,
      layout: layout(t, log ? `${title} (log scale)` : title, "mIoU, %", {
        xaxis: { type: log ? "log" : "linear", rangemode: log ? "normal" : "tozero", dtick: log && most < 1e4 * least ? "D2" : undefined },
        uirevision: state.x + log,
      }),
    };
  }

  /** Accuracy against bpp, a line of means for each configuration and codec. */
  function rate(model) {
    const t = theme();
    const { points, shown } = model;
    const known = shown.filter((n) => Number.isFinite(points.bpp[n]));
    if (!known.length) return empty(shown.length ? "no campaign tells its bits per pixel" : model.emptiness);
    const data = clouds({ ...model, shown: known }, points.bpp, points.miou, t, "%{x:.3~g} bpp");
    for (const cloud of data) cloud.marker.opacity = Math.min(0.55, cloud.marker.opacity);
    const steps = new Map();
    for (const n of known) {
      const key = `${points.configuration[n]} ${points.codec[n]}`;
      const cell = bitfleet.heat.rateOf(model, n);
      const line = steps.get(key) || steps.set(key, new Map()).get(key);
      const step = line.get(cell) || line.set(cell, { n: 0, bpp: 0, miou: 0 }).get(cell);
      step.n += 1;
      step.bpp += points.bpp[n];
      step.miou += points.miou[n];
    }
    for (const [key, line] of steps) {
      if (line.size < 2) continue;
      const name = key.split(" ")[0];
      const means = [...line.values()].map((s) => [s.bpp / s.n, s.miou / s.n]).sort((a, b) => a[0] - b[0]);
      data.push({
        type: "scatter", mode: "lines", name: key, x: means.map((m) => m[0]), y: means.map((m) => m[1]), hoverinfo: "skip",
        line: { color: colour(name, t), width: 2, dash: DASHES[points.codecs.indexOf(key.slice(name.length + 1)) % DASHES.length] },
      });
    }
    return { data, layout: layout(t, "bits per pixel, bpp", "mIoU, %", { uirevision: "rate", xaxis: { rangemode: "tozero" } }) };
  }

  /** Fleet size × bitrate: mIoU as colour, lines of equal cost. */
  function heat(model) {
    const t = theme();
    const grid = model.grid;
    if (!grid) return empty(model.shown.length ? "no campaign of this configuration is shown" : model.emptiness);
    const ticks = (values) => ({ tickvals: values.map((_, n) => n), ticktext: values.map((v) => safe(plain(v))), showgrid: false, fixedrange: true });
    const small = grid.rates.length * grid.fleets.length <= 80;
    const data = [{
      type: "heatmap", z: grid.miou, customdata: grid.cells, colorscale: SCALE, xgap: 2, ygap: 2, hoverongaps: false,
      texttemplate: small ? "%{z:.1f}" : undefined, textfont: { color: "#10151b", size: 12 },
      text: grid.text, hovertemplate: "%{text}<extra></extra>",
      colorbar: { title: { text: "mIoU, %", side: "right", font: { color: t.muted } }, thickness: 10, outlinewidth: 0, tickfont: { color: t.muted } },
    }];
    if (grid.rates.length > 1 && grid.fleets.length > 1) {
      data.push({
        type: "contour", z: grid.cost, hoverinfo: "skip", showscale: false, ncontours: 7, colorscale: [[0, "#a33c00"], [1, "#a33c00"]],
        contours: { coloring: "lines", showlabels: true, labelfont: { size: 11, color: "#a33c00" } }, line: { width: 1.4 },
      });
    }
    return {
      data,
      layout: layout(t, grid.rate, grid.fleet, { xaxis: ticks(grid.rates), yaxis: ticks(grid.fleets), dragmode: false }),
    };
  }

  /** A campaign's bits over simulated time. */
  function bits(told) {
    const t = theme();
    const top = Math.max(...told.sent, 1);
    const far = Math.max(...told.granted) > 20 * top;
    const [factor, unit] = [[1e12, "Tbit"], [1e9, "Gbit"], [1e6, "Mbit"], [1e3, "kbit"]].find(([one]) => top >= one) || [1, "bit"];
    const line = (values, name, own) => ({
      type: "scatter", mode: "lines", x: told.hours, y: values.map((v) => v / factor), name, line: own,
      hovertemplate: `${name}: %{y:,.4~g} ${unit} after %{x:.2~f} h<extra></extra>`,
    });
    const data = [line(told.sent, "sent", { color: "#0072b2", width: 2.2 })];
    if (!far) data.unshift(line(told.granted, "bit budget so far", { color: "#d55e00", width: 1.6, dash: "dash" }));
    return { data, layout: layout(t, "simulated time, h", `bits of the fleet, ${unit}`, { height: 300, showlegend: true, legend: { orientation: "h", y: 1.12, x: 0 }, yaxis: { rangemode: "tozero" } }) };
  }

  bitfleet.figures = { plane, rate, heat, bits, LOOKS, DASHES, FEW, colour, theme };
})();
