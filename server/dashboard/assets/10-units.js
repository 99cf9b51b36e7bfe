/* Numbers as people read them: significant digits, thousands separated, a unit. */
(function () {
  "use strict";
  const bitfleet = (window.bitfleet = window.bitfleet || {});
  const PREFIXES = [[1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

  /** Formatters by decimals, at least and at most: making one takes longer than using it a hundred times. */
  const formats = new Map();
  function format(value, least, most) {
    const key = 100 * least + most;
    if (!formats.has(key)) formats.set(key, new Intl.NumberFormat("en-GB", { minimumFractionDigits: least, maximumFractionDigits: most }));
    return formats.get(key).format(value);
  }

  /** A number in `digits` significant digits, never in exponent form below 10¹⁵. */
  function significant(value, digits = 3) {
    if (value == null || !Number.isFinite(value)) return "–";
    const decimals = value === 0 ? 0 : Math.max(0, Math.min(20, digits - 1 - Math.floor(Math.log10(Math.abs(value)))));
    return format(value, 0, decimals);
  }

  /** The divisor and the unit with its prefix that suit a quantity; hours and frames have none. */
  function scale(value, unit) {
    const [factor, prefix] = (unit !== "h" && unit !== "frame" && PREFIXES.find(([one]) => Math.abs(value) >= one)) || [1, ""];
    return [factor, prefix + unit];
  }

  /** A number of a unit with its prefix: 18.3 Mbit. */
  function quantity(value, unit) {
    const [factor, name] = scale(value, unit);
    return `${significant(value / factor, factor === 1 ? 6 : 3)} ${name}`;
  }

  /** An amount: whole from 1000 on, two decimals below. */
  function money(value) {
    if (value == null || !Number.isFinite(value)) return "–";
    const decimals = Math.abs(value) >= 1000 ? 0 : value !== 0 && Math.abs(value) < 0.01 ? 5 : 2;
    return format(value, Math.min(2, decimals), decimals);
  }

  const plain = (value) => (typeof value === "number" ? significant(value, 6) : String(value));

  /** A config field's name in words: fleet.vehicles is “vehicles”, budget.bits_per_hour “bits per hour”. */
  const field = (name) => (name.endsWith(".name") ? name.split(".").slice(-2)[0] : name.split(".").pop()).replaceAll("_", " ");

  /** Seconds as an age: 12 s, 5 min, 3.2 h, 9 days. */
  function age(seconds) {
    if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
    if (seconds >= 172800) return `${Math.round(seconds / 86400)} days`;
    return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${significant(seconds / 3600, 2)} h`;
  }

  bitfleet.units = { significant, scale, quantity, money, plain, field, age };
})();
