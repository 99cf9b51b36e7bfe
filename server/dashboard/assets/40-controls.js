/* What is beside the figures: price sliders, filters, the table of points, unfinished campaigns. */
(function () {
  "use strict";
  const bitfleet = (window.bitfleet = window.bitfleet || {});
  const { make, fill, download } = bitfleet.dom;
  const { money, significant, field, plain, age } = bitfleet.units;
  const ROWS = 40;
  const VARIED = 5;
  const SILENT_S = 60;
  const STEPS = 200;

  /** A slider reaches ten times the campaigns' own price; its cube makes room for the small ones. */
  const top = (own) => (own > 0 ? 10 * own : 1);
  const toPrice = (step, own) => Number((top(own) * (step / STEPS) ** 3).toPrecision(3));
  const toStep = (price, own) => Math.round(STEPS * Math.cbrt(Math.min(1, price / top(own))));

  /** Builds the price sliders. */
  function prices(page) {
    const own = page.ownPrices;
    const rows = bitfleet.cost.PRICES.map(({ field: name, label, unit, time }) => {
      const [value, base] = [page.price(name), own[name] == null ? own.uplink_gb : own[name]];
      const units = time ? unit : `${own.currency}/${unit}`;
      const slider = make("input", {
        type: "range", id: `price-${name}`, min: 0, max: STEPS, step: 1, "aria-valuetext": `${value} ${units}`, "data-key": `range-${name}`,
        oninput: (event) => change(toPrice(Number(event.target.value), base), exact),
      });
      slider.value = toStep(value, base);
      const exact = make("input", {
        type: "number", min: 0, step: "any", "aria-label": `${label}, ${units}, exactly`, "data-key": `exact-${name}`,
        oninput: (event) => {
          if (event.target.value !== "" && event.target.validity.valid) change(Number(event.target.value), slider);
        },
      });
      exact.value = value;
      /** Sets the price; the other of the two inputs follows. */
      function change(price, other) {
        other.value = other === slider ? toStep(price, base) : price;
        slider.setAttribute("aria-valuetext", `${price} ${units}`);
        page.set({ prices: { ...page.state.prices, [name]: price } });
      }
      return make("div", { class: "price" }, make("label", { for: `price-${name}` }, label, make("span", { class: "unit" }, ` ${units}`)), slider, exact);
    });
    const reset = make("button", { type: "button", id: "prices-reset", "data-key": "reset", onclick: () => { page.set({ prices: {} }); prices(page); } }, "As the campaigns had them");
    fill("prices", ...rows, reset);
  }

  /** Builds the choices of axis, configurations, codecs and the heat map's configuration. */
  function choices(page) {
    const { points, state } = page;
    const t = bitfleet.figures.theme();
    const set = (name, all) => (event) => {
      const chosen = new Set(page.state[name] || all);
      if (event.target.checked) chosen.add(event.target.value);
      else chosen.delete(event.target.value);
      page.set({ [name]: all.every((one) => chosen.has(one)) ? null : all.filter((one) => chosen.has(one)) });
    };
    const boxes = (name, legend, all, mark) =>
      make("fieldset", {}, make("legend", {}, legend), ...all.map((one) => make("label", { class: "check" },
        make("input", { type: "checkbox", name, value: one, checked: !state[name] || state[name].includes(one), "data-key": `${name}-${one}`, onchange: set(name, all) }),
        mark ? mark(one) : null, one)));
    const mark = (one) => make("span", { class: "mark", "aria-hidden": "true", style: `color:${bitfleet.figures.colour(one, t)}` }, bitfleet.figures.LOOKS[one][2]);
    const select = (name, label, options, value) => make("label", { class: "select" }, label,
      make("select", { id: `choose-${name}`, "data-key": `choose-${name}`, onchange: (event) => page.set({ [name]: event.target.value }) },
        ...options.map(([key, text]) => make("option", { value: key, selected: key === value }, text))));
    const axes = [["cost", "total cost"], ["bits", "bits sent"], ["hours", "vehicle-hours"], ["frames", "frames annotated"], ["bpp", "bits per pixel"]];
    fill("choices", select("x", "Accuracy against", axes, state.x),
      points.configurations.length ? boxes("configurations", "Configurations", points.configurations, mark) : null,
      points.codecs.length > 1 ? boxes("codecs", "Codecs", points.codecs) : null);
    fill("heat-choice", points.configurations.length ? select("heat", "Configuration", points.configurations.map((one) => [one, one]), bitfleet.heat.chosen(page.model())) : null);
  }

  const heads = (model) => ["configuration", "codec", "restorer", ...model.table.varied.filter((name) => name !== "codec.name")];
  const cell = (model, name, n) => (name.includes(".") ? (model.table.column[`config.${name}`] || [])[model.points.rows[n][0]] : model.points[name][n]);

  /** Builds the table of points, the accessible way to open a campaign. */
  function table(page, limit = ROWS) {
    const model = page.model();
    const { points, state, cost } = model;
    const listed = (state.front ? model.front : model.shown).slice();
    listed.sort(state.sort === "cost" ? (a, b) => cost[a] - cost[b] : (a, b) => points.miou[b] - points.miou[a]);
    const names = heads(model).filter((name) => name !== "restorer" || points.restorer.some(Boolean)).slice(0, 3 + VARIED);
    const head = [...names.map((name) => [field(name), ""]), ["seeds", "r"], ["mIoU, %", "r"], ["95 %", "r"], ["bpp", "r"], [`cost, ${model.currency}`, "r"]];
    const row = (n) => {
      const campaign = model.table.column.campaign[points.rows[n][0]];
      const open = state.campaign && points.rows[n].some((one) => model.table.column.campaign[one] === state.campaign) && state.of === points.configuration[n];
      const told = bitfleet.points.words(model.table, points, n).join(", ");
      return make("tr", { class: open ? "open" : null },
        ...names.map((name) => make("td", {}, plain(cell(model, name, n) ?? "–"))),
        make("td", { class: "r" }, String(points.rows[n].length)), make("td", { class: "r" }, points.miou[n].toFixed(1)),
        make("td", { class: "r" }, Number.isFinite(points.half[n]) ? `± ${significant(points.half[n], 2)}` : "–"),
        make("td", { class: "r" }, significant(points.bpp[n])), make("td", { class: "r cost" }, money(cost[n])),
        make("td", { class: "r" }, make("button", { type: "button", class: "open", "data-key": `open-${n}`, "aria-label": `Open ${told}`, onclick: () => page.open(campaign, points.configuration[n]) }, "Open")));
    };
    const button = (text, patch, pressed) => make("button", { type: "button", "aria-pressed": String(pressed), "data-key": text, onclick: () => page.set(patch) }, text);
    const tools = make("div", { class: "tools" },
      button("Pareto front", { front: true }, state.front), button("All points", { front: false }, !state.front),
      make("span", { class: "gap" }), button("By accuracy", { sort: "accuracy" }, state.sort === "accuracy"), button("By cost", { sort: "cost" }, state.sort === "cost"),
      make("span", { class: "gap" }), make("button", { type: "button", id: "csv", "data-key": "csv", onclick: () => download("bitfleet.csv", csv(page.model(), listed)) }, "CSV of these points"));
    if (!listed.length) {
      fill("points", tools, make("p", { class: "empty" }, model.emptiness));
      return;
    }
    const more = listed.length > limit ? make("p", { class: "note" }, `${limit} of ${listed.length.toLocaleString("en-GB")} points. `,
      make("button", { type: "button", "data-key": "more", onclick: () => table(page, limit + 5 * ROWS) }, "More")) : null;
    fill("points", tools, make("div", { class: "table", tabindex: "0", role: "region", "aria-label": "Points" },
      make("table", {}, make("thead", {}, make("tr", {}, ...head.map(([text, how]) => make("th", { scope: "col", class: how || null }, text)), make("td", {}))),
        make("tbody", {}, ...listed.slice(0, limit).map(row)))), more);
  }

  /** The points as CSV: what the table shows, unrounded, with their campaigns. */
  function csv(model, listed) {
    const { points } = model;
    const names = heads(model);
    const quote = (value) => {
      let text = value == null || Number.isNaN(value) ? "" : String(value);
      if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`; // a spreadsheet would run it
      return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    const head = [...names, "seeds", "miou_percent", "half_interval_95_percent", "bpp", `cost_${model.currency}`, "on_front", "campaigns"];
    const front = new Set(model.front);
    const lines = listed.map((n) => [...names.map((name) => cell(model, name, n)), points.rows[n].length, points.miou[n], points.half[n], points.bpp[n],
      model.cost[n], front.has(n), points.rows[n].map((row) => model.table.column.campaign[row]).join(" ")]);
    return [head, ...lines].map((line) => line.map(quote).join(",")).join("\r\n") + "\r\n";
  }

  /** Builds the list of campaigns that have not finished. */
  function standing(page) {
    const now = page.now();
    const silentFor = (one) => (one.updated == null ? 0 : now - one.updated);
    const rank = (one) => ["running", "interrupted", "failed"].indexOf(one.state) + (silentFor(one) > SILENT_S ? 0.5 : 0);
    const told = page.standing.slice().sort((a, b) => rank(a) - rank(b)).slice(0, ROWS).map((one) => {
      const old = one.updated == null ? null : now - one.updated;
      const silent = one.state === "running" && old > SILENT_S;
      const state = silent ? "silent" : one.state;
      const share = Math.round(100 * one.share);
      return make("li", { class: `stands ${state}`, "data-campaign": one.campaign }, make("b", {}, one.campaign), make("span", { class: "state" }, state),
        one.stage ? make("span", {}, one.stage, " ", make("progress", { max: 100, value: share, "aria-label": `${one.stage}, ${share} %` }), ` ${share} %`) : null,
        one.details ? make("span", { class: "muted" }, one.details) : null,
        old == null ? null : make("span", { class: "muted" }, `told ${age(old)} ago`));
    });
    for (const one of page.failed) told.push(make("li", { class: "stands failed" }, make("b", {}, String(one.campaign)), make("span", { class: "state" }, "failed"), make("span", { class: "muted" }, String(one.error))));
    const place = document.getElementById("standing-section");
    if (place) place.hidden = !told.length;
    const over = page.standing.length > ROWS ? make("p", { class: "note" }, `${ROWS} of ${page.standing.length} campaigns that have not finished.`) : null;
    fill("standing", make("ul", { class: "standing" }, ...told), over);
  }

  bitfleet.controls = { prices, choices, table, standing, csv, toPrice, toStep };
})();
