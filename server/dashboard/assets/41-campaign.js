/* An opened campaign: its ledger, bits over time, pictures, IoU of each class. */
(function () {
  "use strict";
  const bitfleet = (window.bitfleet = window.bitfleet || {});
  const { make, fill } = bitfleet.dom;
  const { money, quantity, scale, significant, plain, field } = bitfleet.units;
  const PHOTOS = ["original", "decoded", "restored"];

  /** The rows of a campaign, by configuration. */
  function rowsOf(page, campaign) {
    const { column, rows } = page.table;
    const found = new Map();
    for (let row = 0; row < rows; row += 1) if (column.campaign[row] === campaign) found.set(column.configuration[row], row);
    return found;
  }

  /** Shows the campaign that the state says, or hides the section. */
  async function show(page) {
    const section = document.getElementById("campaign-section");
    const { campaign } = page.state;
    section.hidden = !campaign;
    if (!campaign) return;
    const rows = rowsOf(page, campaign);
    if (!rows.size) {
      fill("campaign", heading(page, campaign), make("p", { class: "empty" }, page.table.rows ? `No finished campaign is called ${campaign}.` : page.model().emptiness));
      return;
    }
    const of = rows.has(page.state.of) ? page.state.of : [...rows.keys()][0];
    const row = rows.get(of);
    const ledgerPlace = make("div", { id: "campaign-ledger" });
    const rest = make("div", { id: "campaign-rest" }, make("p", { class: "muted" }, "Reading its folder …"));
    fill("campaign", heading(page, campaign), seeds(page, campaign, of), facts(page, row),
      make("div", { class: "tools", role: "group", "aria-label": "Configuration" }, ...[...rows.keys()].map((name) => make("button", { type: "button", "data-key": `of-${name}`, "aria-pressed": String(name === of), onclick: () => page.open(campaign, name) }, name))),
      ledgerPlace, rest);
    ledger(page);
    let details;
    try {
      details = await page.host.details(campaign);
    } catch (error) {
      details = { missing: [String(error.message || error)] };
    }
    if (page.state.campaign !== campaign || !document.body.contains(rest)) return;
    rest.replaceChildren(...parts(page, details, campaign, of, row));
    const bits = document.getElementById("campaign-bits");
    if (bits && details.bits) (await page.host.plotly()).react(bits, ...Object.values(bitfleet.figures.bits(details.bits)), { responsive: true, displaylogo: false });
  }

  const heading = (page, campaign) => make("div", { class: "top" }, make("h2", { id: "campaign-name", tabindex: "-1" }, campaign),
    make("button", { type: "button", id: "close", "data-key": "close", onclick: () => page.set({ campaign: null, of: null }, true) }, "Close"));

  /** The other seeds of the same point. */
  function seeds(page, campaign, of) {
    const { column } = page.table;
    const { points } = page;
    const n = points.rows.findIndex((rows) => rows.some((row) => column.campaign[row] === campaign && column.configuration[row] === of));
    if (n < 0 || points.rows[n].length < 2) return null;
    return make("div", { class: "tools", role: "group", "aria-label": "Seeds of the same point" }, make("span", { class: "muted" }, "seed"), ...points.rows[n].map((row) =>
      make("button", { type: "button", "data-key": `seed-${column.seed[row]}`, "aria-pressed": String(column.campaign[row] === campaign), onclick: () => page.open(column.campaign[row], of) }, String(column.seed[row]))));
  }

  function facts(page, row) {
    const { column, varied } = page.table;
    const of = (name) => column[name][row];
    const told = [["codec", of("codec")], ["vehicles", of("vehicles")], ["hours", significant(of("hours"))], ["frames delivered", plain(of("frames_delivered"))],
      ["trained on", plain(of("frames_trained"))], ["bpp", significant(of("bpp"))], ["budget used", `${significant(100 * of("budget_utilisation"))} %`],
      ["PSNR", of("psnr") == null ? null : `${of("psnr").toFixed(1)} dB`], ["MS-SSIM", of("ms_ssim") == null ? null : of("ms_ssim").toFixed(3)],
      ["Fréchet distance", of("frechet") == null ? null : significant(of("frechet"))],
      ["mIoU", of("miou") == null ? "none" : `${(100 * of("miou")).toFixed(1)} %`], ["seed", String(of("seed"))]];
    for (const name of varied) {
      const value = (column[`config.${name}`] || [])[row];
      if (value != null && !["fleet.vehicles", "fleet.hours", "codec.name"].includes(name)) told.push([field(name), plain(value)]);
    }
    return make("dl", { class: "facts" }, ...told.filter(([, value]) => value != null).map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, String(value)))));
  }

  /** The ledger of the open campaign and configuration at the page's prices; sliders move it. */
  function ledger(page) {
    if (!document.getElementById("campaign-ledger")) return;
    const rows = rowsOf(page, page.state.campaign);
    const row = rows.get(page.state.of) ?? [...rows.values()][0];
    const quantities = {};
    for (const name of Object.keys(page.points.quantity)) quantities[name] = page.table.column[`quantity.${name}`][row];
    const lines = bitfleet.cost.ledger(quantities, page.prices());
    const total = lines.reduce((sum, line) => sum + line.cost, 0);
    const currency = page.ownPrices.currency;
    fill("campaign-ledger", make("h3", {}, `Ledger of ${page.table.column.configuration[row]} at the prices of this page`),
      make("div", { class: "table", tabindex: "0", role: "region", "aria-label": "Ledger" }, make("table", {},
        make("thead", {}, make("tr", {}, ...["item", "quantity", `unit price, ${currency}`, `cost, ${currency}`, "share"].map((text, n) => make("th", { scope: "col", class: n && n < 4 ? "r" : null }, text)))),
        make("tbody", {}, ...lines.filter((line) => line.quantity).map((line) => make("tr", {}, make("th", { scope: "row" }, line.item),
          make("td", { class: "r" }, `${quantity(line.quantity, line.unit)}`), make("td", { class: "r" }, unitPrice(line)), make("td", { class: "r" }, money(line.cost)),
          make("td", { class: "share" }, make("span", { class: "bar", style: `width:${total ? (100 * line.cost) / total : 0}%` }))))),
        make("tfoot", {}, make("tr", {}, make("th", { scope: "row", colspan: 3 }, "total cost"), make("td", { class: "r", id: "campaign-cost" }, money(total)), make("td", {}))))));
  }

  /** A line's unit price, of the unit that its quantity is shown in. */
  function unitPrice(line) {
    const [factor, unit] = scale(line.quantity, line.unit);
    return `${significant(line.price * factor)} per ${unit}`;
  }

  function parts(page, details, campaign, of, row) {
    const found = [];
    for (const line of details.missing || []) found.push(make("p", { class: "empty" }, line));
    if (details.frames && details.frames.length) found.push(pictures(page, details, campaign));
    else if (details.frames) found.push(make("p", { class: "empty" }, "No pictures were kept."));
    const pair = make("div", { class: "pair" });
    if (details.iou && Object.keys(details.iou).length) pair.append(classes(details, of));
    const right = make("div", {});
    if (details.bits) right.append(make("h3", {}, "Bits over time"), make("div", { id: "campaign-bits", role: "img", "aria-label": "Bits of the fleet over simulated time" }));
    if (details.ledger && details.ledger.length) right.append(own(page, details.ledger, row));
    if (right.childNodes.length) pair.append(right);
    if (pair.childNodes.length) found.push(pair);
    if (details.config) found.push(make("details", {}, make("summary", {}, "Resolved config"), make("pre", {}, details.config)));
    return found;
  }

  /** The ledger that the campaign itself wrote, folded away. */
  function own(page, lines) {
    const total = lines.reduce((sum, line) => sum + line[4], 0);
    return make("details", {}, make("summary", {}, `The whole campaign's own ledger: ${money(total)} ${page.ownPrices.currency}`),
      make("table", {}, make("tbody", {}, ...lines.filter((line) => line[1]).map(([item, count, unit, , cost]) => make("tr", {}, make("th", { scope: "row" }, item), make("td", { class: "r" }, quantity(count, unit)), make("td", { class: "r" }, money(cost)))))));
  }

  /** IoU of each class, a bar for each configuration, the chosen one's in its colour. */
  function classes(details, of) {
    const t = bitfleet.figures.theme();
    const names = bitfleet.points.ORDER.filter((name) => name in details.iou);
    const rows = details.classes.filter((one) => names.some((name) => details.iou[name][one] != null)).map((one) => make("tr", {}, make("th", { scope: "row" }, one),
      ...names.map((name) => { const iou = details.iou[name][one]; return make("td", { class: name === of ? "r now" : "r" }, iou == null ? "–" : (100 * iou).toFixed(1)); }),
      make("td", { class: "share" }, make("span", { class: "bar", style: `width:${100 * (details.iou[of][one] || 0)}%;background:${bitfleet.figures.colour(of, t)}` }))));
    const absent = details.classes.filter((one) => names.every((name) => details.iou[name][one] == null));
    return make("div", {}, make("h3", {}, "IoU of each class, %"), make("div", { class: "table", tabindex: "0", role: "region", "aria-label": "IoU of each class" },
      make("table", { class: "tight", id: "campaign-iou" }, make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "class"), ...names.map((name) => make("th", { scope: "col", class: "r" }, name)), make("td", {}))), make("tbody", {}, ...rows))),
      absent.length ? make("p", { class: "note" }, `Absent from the test frames: ${absent.join(", ")}.`) : null);
  }

  /** A frame's pictures side by side, a slider over frames, and two of them laid over each other. */
  function pictures(page, details, campaign) {
    const { frames } = details;
    const strip = make("div", { class: "row", id: "campaign-pictures" });
    const wipe = make("div", { class: "wipe" });
    const name = make("output", { for: "frame-slider" });
    const chosen = { left: null, right: null, at: 50 };
    const source = (picture) => page.host.picture(campaign, picture.source);
    const image = (picture, frame) => make("img", { src: source(picture), alt: `${picture.name} of frame ${frame}`, class: PHOTOS.includes(picture.kind.split("-")[0]) ? null : "map" });
    const slider = make("input", { type: "range", id: "frame-slider", min: 1, max: frames.length, value: 1, step: 1, oninput: () => draw() });

    function draw() {
      const { frame, pictures: all } = frames[Number(slider.value) - 1];
      name.textContent = `${slider.value} of ${frames.length}: ${frame}`;
      slider.setAttribute("aria-valuetext", name.textContent);
      strip.replaceChildren(...all.map((picture) => make("figure", {}, image(picture, frame), make("figcaption", {}, picture.name))));
      compare(frame, all);
    }

    function compare(frame, all) {
      const pick = (kind, otherwise) => all.find((one) => one.kind === kind) || otherwise;
      const left = pick(chosen.left, pick("original", all[0]));
      const right = pick(chosen.right, pick("restored", pick("decoded", all[all.length - 1])));
      const above = image(left, frame);
      const lay = () => { above.style.clipPath = `inset(0 ${100 - chosen.at}% 0 0)`; line.style.left = `${chosen.at}%`; };
      const line = make("i", {});
      const select = (side, now) => make("select", { "aria-label": `Picture on the ${side}`, onchange: (event) => { chosen[side] = event.target.value; compare(frame, all); } },
        ...all.map((one) => make("option", { value: one.kind, selected: one === now }, one.name)));
      wipe.replaceChildren(make("div", { class: "tools" }, make("span", { class: "muted" }, "Compare"), select("left", left), make("span", { class: "muted" }, "with"), select("right", right)),
        make("div", { class: "over" }, image(right, frame), above, line),
        make("input", { type: "range", min: 0, max: 100, value: chosen.at, "aria-label": "How much of the left picture is seen", oninput: (event) => { chosen.at = Number(event.target.value); lay(); } }));
      lay();
    }

    draw();
    const colours = make("ul", { class: "palette", "aria-label": "Colours of the classes" }, ...details.classes.map((one, n) => make("li", {}, make("i", { style: `background:${details.palette[n]}` }), one)));
    return make("div", {}, make("h3", {}, "Pictures"), frames.length > 1 ? make("div", { class: "frames" }, make("label", { for: "frame-slider" }, "Frame "), slider, name) : name, strip, wipe, colours);
  }

  bitfleet.campaign = { show, ledger };
})();
