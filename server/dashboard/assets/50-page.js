/* The page: what it knows, what it shows, and who draws it. `host` is dash.js or report.js. */
(function () {
  "use strict";
  const bitfleet = (window.bitfleet = window.bitfleet || {});
  const { make, fill } = bitfleet.dom;

  /** After so long without a move a slider rests. */
  const REST_MS = 400;

  class Page {
    /** @param {Object} host draw(), address(text, push), details(campaign), picture(campaign, source). */
    constructor(host) {
      this.host = host;
      this.state = bitfleet.state.initial();
      this.table = { rows: 0, column: { miou: [] }, varied: [] };
      this.points = bitfleet.points.group(this.table);
      this.ownPrices = {};
      this.standing = [];
      this.failed = [];
      this.have = {};
      this.drawn = {};
      this.resting = null;
    }

    /** Takes what the server has to tell; see server/dashboard/catalogue.py. */
    receive(news) {
      const first = this.have.epoch == null;
      if (news.reset || news.rows) {
        this.table = bitfleet.points.extend(this.table, news);
        if (!this.table.rows) this.table.column.miou = [];
        this.points = bitfleet.points.group(this.table);
      }
      const pricesMoved = JSON.stringify(this.ownPrices) !== JSON.stringify(news.prices);
      Object.assign(this, { ownPrices: news.prices, standing: news.standing, failed: news.failed, news, skew: Date.now() / 1000 - news.now });
      this.have = { epoch: news.epoch, campaigns: news.campaigns, live: news.live };
      if (first || pricesMoved) bitfleet.controls.prices(this);
      if (news.reset || news.rows) {
        bitfleet.controls.choices(this);
        bitfleet.controls.table(this);
        if (this.state.campaign && (first || !document.getElementById("campaign-ledger"))) bitfleet.campaign.show(this);
      }
      bitfleet.controls.standing(this);
      this.head();
    }

    /** Seconds since the epoch on the server's clock. */
    now() {
      return Date.now() / 1000 - (this.skew || 0);
    }

    /** The prices in force, by field. */
    prices() {
      return { ...this.ownPrices, ...this.state.prices };
    }

    /** The price of a field; calibration frames without one of their own cost what other bits do. */
    price(name) {
      const prices = this.prices();
      return prices[name] == null ? prices.uplink_gb : prices[name];
    }

    /** What the figures and the table are functions of. */
    model() {
      const { table, points, state } = this;
      const factors = bitfleet.cost.factors(this.prices());
      const cost = bitfleet.cost.weigh(points.quantity, factors, points.count);
      const only = (names, unit) => bitfleet.cost.weigh(points.quantity, Object.fromEntries(names.map((name) => [name, unit])), points.count);
      const x = {
        cost: () => cost, bits: () => only(bitfleet.cost.SENT, 1e-9), hours: () => only(["vehicle_hours"], 1),
        frames: () => only(["frames_annotated"], 1), bpp: () => points.bpp,
      }[state.x]();
      const key = JSON.stringify([state.configurations, state.codecs]);
      if (points.shownKey !== key) Object.assign(points, { shownKey: key, shown: bitfleet.points.shown(points, state) });
      const { shown } = points;
      const emptiness = !table.rows ? "No campaign has finished yet." : !points.count ? "No campaign tells an mIoU." : "Nothing is chosen: tick a configuration and a codec.";
      return { table, points, state, cost, x, shown, front: bitfleet.points.front(x, points.miou, shown), currency: this.ownPrices.currency || "", emptiness };
    }

    /** The figures that changed since they were last asked for, by name; null: as it was. */
    figures() {
      const model = this.model();
      model.moving = this.resting !== null && model.shown.length > bitfleet.figures.FEW;
      model.grid = model.shown.length ? bitfleet.heat.grid(model) : null;
      const { dark } = bitfleet.figures.theme();
      const prices = JSON.stringify(this.prices());
      const { shown, points, state } = model;
      const made = {};
      for (const [name, keys] of [["plane", [prices, state.x, model.moving]], ["heat", [prices, state.heat]], ["rate", []]]) {
        const key = [shown, points, dark, ...keys];
        const last = this.drawn[name];
        // Of many points, the lines of equal cost follow when the slider rests.
        const later = model.moving && name === "heat" && last && last[0] === shown && last[1] === points;
        if (later) {
          made[name] = null;
          continue;
        }
        const same = last && key.every((one, n) => one === last[n]);
        made[name] = same ? null : bitfleet.figures[name](model);
        this.drawn[name] = key;
      }
      this.told(model);
      return made;
    }

    /** What is said of the plane beneath it. */
    told(model) {
      const { points, shown, front } = model;
      const seeds = shown.some((n) => points.rows[n].length > 1);
      const far = shown.length > bitfleet.figures.FEW;
      const intervals = !seeds ? "One seed a point: no intervals." : far ? "Bars: 95 % intervals over seeds, on the front (hover tells the others')." : "Bars: 95 % intervals over seeds (Student's t).";
      fill("plane-note", `${shown.length.toLocaleString("en-GB")} points, ${front.length} on the Pareto front (ringed). ${intervals}${far ? " Of points that lie on each other one is drawn." : ""}`);
      const { DASHES } = bitfleet.figures;
      const codecs = points.codecs.length > 1 ? ` ${points.codecs.map((name, n) => `${name} ${DASHES[n % DASHES.length]}`).join(", ")}.` : "";
      fill("rate-note", `Lines: means at a bitrate.${codecs} Trained on originals: at the bpp of the campaign's compressed frames.`);
      const { grid } = model;
      fill("heat-note", !grid ? "" : grid.rates.length > 1 && grid.fleets.length > 1 ? `Lines: equal cost in ${model.currency}, at the prices of this page. A cell is the mean of its points.` : "Lines of equal cost need at least two fleet sizes and two bitrates.");
    }

    /** The line that tells what the page is about. */
    head() {
      const { news } = this;
      const done = `${news.campaigns.toLocaleString("en-GB")}${news.planned ? ` of ${news.planned.toLocaleString("en-GB")}` : ""} ${(news.planned || news.campaigns) === 1 ? "campaign" : "campaigns"} finished`;
      const running = this.standing.filter((one) => one.state === "running").length;
      fill("name", news.name);
      fill("facts", [done, running ? `${running} running` : null, `${this.points.count.toLocaleString("en-GB")} points`, this.table.varied.length ? `varied: ${this.table.varied.join(", ")}` : null].filter(Boolean).join(" · "));
      document.title = `${news.name} – Bitfleet`;
    }

    /**
     * Changes the state and all that follows from it.
     * @param {Partial<State>} patch
     * @param {boolean} [push] whether the browser's Back undoes it.
     */
    set(patch, push = false) {
      this.state = { ...this.state, ...patch };
      if (patch.configurations !== undefined || patch.codecs !== undefined) bitfleet.controls.choices(this);
      if (patch.campaign !== undefined || patch.of !== undefined) bitfleet.campaign.show(this);
      // The address, the lists and the last of the points follow when the slider rests.
      clearTimeout(this.resting);
      if (push || patch.campaign !== undefined || !patch.prices) this.rest(push);
      else this.resting = setTimeout(() => this.rest(false), REST_MS);
      this.host.draw();
    }

    /** Lets the lists and the address follow the state. */
    rest(push) {
      clearTimeout(this.resting);
      this.resting = null;
      this.host.draw();
      bitfleet.controls.table(this);
      if (this.state.campaign) bitfleet.campaign.ledger(this);
      this.host.address(bitfleet.state.write(this.state), push);
    }

    /** Opens a campaign. */
    open(campaign, configuration) {
      this.set({ campaign, of: configuration }, true);
      const name = document.getElementById("campaign-name");
      if (name) {
        name.focus({ preventScroll: true });
        document.getElementById("campaign-section").scrollIntoView({ behavior: "auto", block: "start" });
      }
    }

    /** Opens the first campaign of a point of a figure. */
    clicked(point) {
      if (typeof point !== "number" || !this.points.rows[point]) return;
      this.open(this.table.column.campaign[this.points.rows[point][0]], this.points.configuration[point]);
    }

    /** Takes the state from an address. */
    restore(search) {
      const state = bitfleet.state.parse(search);
      if (bitfleet.state.write(state) === bitfleet.state.write(this.state)) return;
      this.state = state;
      if (this.have.epoch == null) return;
      bitfleet.controls.prices(this);
      bitfleet.controls.choices(this);
      bitfleet.controls.table(this);
      bitfleet.campaign.show(this);
      this.host.draw();
    }
  }

  /** Settings of every figure. */
  const CONFIG = { responsive: true, displaylogo: false, scrollZoom: false, toImageButtonOptions: { format: "png", scale: 2 }, modeBarButtonsToRemove: ["select2d", "lasso2d"] };

  bitfleet.Page = Page;
  bitfleet.CONFIG = CONFIG;
  bitfleet.make = make;
})();
