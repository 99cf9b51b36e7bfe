"""From a matplotlib figure to inline SVG that follows the page's colours, light and dark.

Figures are drawn in stand-in colours, one per name in `INKS`; in the SVG each becomes the CSS
variable of that name, so one drawing serves both colour schemes and print.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from server.report.result import ORDER

INKS: tuple[str, ...] = (
    "ink", "muted", "rule", "page", "outage", "limit", "fleet",
    *(f"city{n}" for n in range(8)),
    *(name.lower() for name in ORDER),
    "rd",
)  # fmt: skip
"""Names of the page's colours; `style.css` gives each of them twice, light and dark."""

MARKERS = {"O": "o", "C": "s", "R": "D", "A": "^", "B": "v", "M": "P"}
"""Markers by train domain, controls included: told apart without colour, too."""

_WIDTH = 520
_SIZE = 11.5


@dataclass(frozen=True)
class Key:
    """One entry of a chart's legend.

    `shape` is line, thin, dash, dots, dot or area; an area may be “area soft” or “area faint”.
    """

    label: str
    ink: str
    shape: str = "line"


@dataclass(frozen=True)
class Chart:
    """A chart as the page shows it: a takeaway, the drawing, its legend, what to know of it."""

    title: str
    svg: Markup
    keys: tuple[Key, ...] = ()
    note: str = ""


@dataclass
class Canvas:
    """A figure being drawn; `tips` are the hover texts of the artists with that gid."""

    figure: Figure
    name: str
    description: str = ""
    tips: dict[str, str] = field(default_factory=dict)

    def tip(self, text: str) -> str:
        """A gid for an artist whose hover text is `text`."""
        gid = f"tip-{len(self.tips)}"
        self.tips[gid] = text
        return gid

    def svg(self) -> Markup:
        """The drawing as inline SVG, the same bytes every time."""
        buffer = io.StringIO()
        with _settings(self.name), warnings.catch_warnings():
            # Text stays text, so a glyph that matplotlib's own font lacks is the browser's matter.
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            self.figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
        return _inline(buffer.getvalue(), self.description, self.tips)


@contextmanager
def canvas(name: str, height: int = 300, width: int = _WIDTH) -> Iterator[Canvas]:
    """A figure of that many pixels, in the page's style while the block runs."""
    with _settings(name):
        yield Canvas(Figure(figsize=(width / 72, height / 72), layout="constrained"), name)


def ink(name: str) -> str:
    """The stand-in colour of an ink."""
    return f"#fe01{INKS.index(name):02x}"


def dress(axes: Axes, x: str = "", y: str = "", grid: str = "y") -> None:
    """Axis names with their units (the vertical one written flat, above), and light rules only."""
    axes.set_xlabel(x)
    axes.set_title(y, loc="left", fontsize=_SIZE, color=ink("muted"), pad=8)
    axes.grid(visible=bool(grid), axis=grid or "both")  # type: ignore[arg-type]
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


@contextmanager
def _settings(name: str) -> Iterator[None]:
    with matplotlib.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": name,  # ids are the same every time, and differ between charts
            "text.parse_math": False,  # names come from users: “$” is a dollar
            "font.size": _SIZE,
            "axes.labelsize": _SIZE,
            "axes.axisbelow": True,
            "axes.edgecolor": ink("muted"),
            "axes.labelcolor": ink("muted"),
            "axes.facecolor": "none",
            "axes.linewidth": 0.8,
            "axes.unicode_minus": True,
            "grid.color": ink("rule"),
            "grid.linewidth": 0.8,
            "text.color": ink("ink"),
            "xtick.color": ink("muted"),
            "ytick.color": ink("muted"),
            "xtick.major.pad": 6,
            "ytick.major.pad": 5,
            "path.simplify": True,
        }
    ):
        yield


_DROPPED = (
    re.compile(r"^.*?(?=<svg)", re.S),  # XML declaration and document type
    re.compile(r"<metadata>.*?</metadata>", re.S),
    re.compile(r"<defs>\s*<style.*?</defs>", re.S),  # a rule for *, which would style the page
    re.compile(r"<clipPath.*?</clipPath>", re.S),
    re.compile(r"<!--.*?-->", re.S),
    re.compile(r"<defs>\s*</defs>|<defs/>"),
    re.compile(r' clip-path="[^"]*"'),  # every chart's limits hold what it draws
    re.compile(r"font-family: [^;\"]*;? ?"),
    re.compile(r" transform=\"rotate\(-0 [^\"]*\)\""),
)


def _inline(text: str, description: str, tips: dict[str, str]) -> Markup:
    for pattern in _DROPPED:
        text = pattern.sub("", text)
    text = re.sub(r"font: ([^;\"]*?px)[^;\"]*", r"font: \1 var(--font)", text)
    text = re.sub(r"#fe01([0-9a-f]{2})", lambda m: f"var(--{INKS[int(m[1], 16)]})", text)
    text = text.replace("xlink:href", "href")
    text = re.sub(r' (?:d|x|y)="[^"]*"', _shorten, text)
    for gid, tip in tips.items():
        text = text.replace(f'<g id="{gid}">', f"<g><title>{escape(tip)}</title>")
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"\s*\n\s*", " ", text)
    box = re.search(r'viewBox="0 0 [\d.]+ [\d.]+"', text)
    if box is None:
        raise RuntimeError("matplotlib wrote an SVG without a viewBox")
    head = Markup('<svg role="img" aria-label="{}" ').format(description) + Markup(box[0] + ">")
    return head + Markup(re.sub(r"^<svg[^>]*>", "", text))


def _shorten(attribute: re.Match[str]) -> str:
    """A hundredth of a pixel is plenty."""
    return re.sub(r"(\.\d\d)\d+", r"\1", attribute[0])
