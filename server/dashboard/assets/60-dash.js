/* The page as Dash serves it: Dash brings the news and holds the graphs; bitfleet.Page makes them. */
(function () {
  "use strict";
  const bitfleet = (window.bitfleet = window.bitfleet || {});
  const pick = () => window.dash_clientside.no_update;
  const NAMES = ["plane", "heat", "rate"];
  let asked = false;

  const host = {
    /**
     * Draws what the state changed, once a frame at most. Dash draws what it is told, news; a slider's
     * moves go to the same graphs directly, since Dash compares and copies every array on its way.
     */
    draw() {
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => {
        asked = false;
        const graphs = NAMES.map((name) => document.querySelector(`#${name} .js-plotly-plot`));
        if (!window.Plotly || graphs.some((graph) => !graph || !graph.data)) {
          setTimeout(host.draw, 100); // Dash has not drawn them yet
          return;
        }
        const made = page.figures();
        NAMES.forEach((name, n) => made[name] && window.Plotly.react(graphs[n], made[name].data, made[name].layout, bitfleet.CONFIG));
      });
    },
    address(text, push) {
      const search = text ? `?${text}` : "";
      if (search === window.location.search) return;
      window.history[push ? "pushState" : "replaceState"](null, "", window.location.pathname + search);
      // Dash's Location would take a difference for a wish to go back to what it knows.
      window.dash_clientside.set_props("url", { search, href: window.location.href });
    },
    async details(campaign) {
      const answer = await fetch(`details?${new URLSearchParams({ campaign })}`);
      if (!answer.ok) throw new Error(`The folder of ${campaign} cannot be read (${answer.status}).`);
      return answer.json();
    },
    /** Plotly, which Dash loads when it draws its first figure. */
    async plotly() {
      while (!window.Plotly) await new Promise((again) => setTimeout(again, 50));
      return window.Plotly;
    },
    picture: (campaign, file) => `picture?${new URLSearchParams({ campaign, file })}`,
  };
  const page = new bitfleet.Page(host);
  bitfleet.page = page;
  setInterval(() => page.standing.length && bitfleet.controls.standing(page), 5000);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => host.draw());

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.bitfleet = {
    /** What the server tells; gives back what the page has by now, so that it asks for the rest. */
    receive(news) {
      if (!news) return pick();
      page.receive(news);
      return page.have;
    },
    /** The figures that the news changed. */
    draw(have) {
      if (!have || have.epoch == null) return [pick(), pick(), pick()];
      const made = page.figures();
      return NAMES.map((name) => made[name] || pick());
    },
    restore(search) {
      page.restore(search);
    },
    clicked(told) {
      if (told && told.points.length) page.clicked(told.points[0].customdata);
    },
  };
})();
