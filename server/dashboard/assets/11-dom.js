/* Making elements. Text only ever becomes text: names come from configs, and configs from anyone. */
(function () {
  "use strict";
  const bitfleet = (window.bitfleet = window.bitfleet || {});

  /**
   * An element.
   * @param {string} tag
   * @param {Object<string, any>} [attributes] `on…` are listeners, the rest attributes; null leaves out.
   * @param {...(Node|string|null)} children
   * @returns {HTMLElement}
   */
  function make(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value == null || value === false) continue;
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (name === "style") made.style.cssText = value;
      else made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children.filter((child) => child != null));
    return made;
  }

  /** Replaces what an element of the page holds; what has the focus keeps it, by its data-key. */
  function fill(id, ...children) {
    const place = document.getElementById(id);
    if (!place) return;
    const focused = place.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    place.replaceChildren(...children.filter((child) => child != null));
    if (focused) {
      const again = [...place.querySelectorAll("[data-key]")].find((one) => one.dataset.key === focused);
      if (again) again.focus({ preventScroll: true });
    }
  }

  /** A file for the person to keep. */
  function download(name, text) {
    const link = make("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  bitfleet.dom = { make, fill, download };
})();
