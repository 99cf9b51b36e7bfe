/* The page as Dash serves it: Dash carries news, state and figures; bitfleet.Page makes them. */
(function () {
  "use strict";
  const bitfleet = (window.bitfleet = window.bitfleet || {});
  const pick = () => window.dash_clientside.no_update;
  let asked = false;

  const host = {
    /** Asks Dash to call `draw` below, once a frame at most. */
    draw() {
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => {
        asked = false;
        window.dash_clientside.set_props("state", { data: page.state });
      });
    },
    address(text, push) {
      const search = text ? `?${text}` : "";
      if (search === window.location.search) return;
      window.history[push ? "pushState" : "replaceState"](null, "", window.location.pathname + search);
      window.dash_clientside.set_props("url", { search });
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
    /** The figures that the state or the news changed. */
    draw(state, have) {
      if (!have || have.epoch == null) return [pick(), pick(), pick()];
      const made = page.figures();
      return ["plane", "heat", "rate"].map((name) => made[name] || pick());
    },
    restore(search) {
      page.restore(search);
    },
    clicked(told) {
      if (told && told.points.length) page.clicked(told.points[0].customdata);
    },
  };
})();
