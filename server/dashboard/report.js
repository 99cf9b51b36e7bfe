/* The page as one file: everything is in it, and Plotly is called directly. */
(function () {
  "use strict";
  const bitfleet = window.bitfleet;
  const data = JSON.parse(document.getElementById("bitfleet-data").textContent);
  const NAMES = ["plane", "heat", "rate"];
  let asked = false;

  const host = {
    draw() {
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => {
        asked = false;
        const made = page.figures();
        for (const name of NAMES) if (made[name]) window.Plotly.react(name, made[name].data, made[name].layout, bitfleet.CONFIG);
      });
    },
    address(text, push) {
      if (window.location.hash.slice(1) === text) return;
      window.history[push ? "pushState" : "replaceState"](null, "", `#${text}`);
    },
    async details(campaign) {
      return data.details[campaign] || { missing: ["Bits over time, pictures and IoU of each class of this campaign were left out to keep this file small; `bitfleet dashboard` on the sweep's folder shows them."] };
    },
    plotly: async () => window.Plotly,
    picture: (campaign, source) => source,
  };
  const page = new bitfleet.Page(host);
  bitfleet.page = page;
  page.restore(window.location.hash);
  page.receive(data.news);
  const made = page.figures();
  for (const name of NAMES) {
    window.Plotly.newPlot(name, made[name].data, made[name].layout, bitfleet.CONFIG).then((graph) => {
      graph.on("plotly_click", (told) => page.clicked(told.points[0].customdata));
    });
  }
  window.addEventListener("popstate", () => page.restore(window.location.hash));
  window.addEventListener("hashchange", () => page.restore(window.location.hash));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => host.draw());
})();
