"""The dashboard as a Dash app: the page's frame, what it asks the server for, and the pictures' route."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import flask
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update

from server.dashboard.catalogue import Catalogue
from server.dashboard.details import frames_by_file, read_details

_EVERY_MS = 2000
_FIGURES = ("plane", "heat", "rate")
_CONFIG: Any = {
    "displaylogo": False,
    "responsive": True,
    "modeBarButtonsToRemove": ["select2d", "lasso2d"],
    "toImageButtonOptions": {"format": "png", "scale": 2},
}


def make_app(catalogue: Catalogue) -> Dash:
    """The app that shows a catalogue. Everything is served from here; nothing is fetched elsewhere."""
    app = Dash(
        "bitfleet",
        assets_folder=str(Path(__file__).parent / "assets"),
        serve_locally=True,
        title="Bitfleet",
        index_string=Dash("").index_string.replace("<html>", '<html lang="en">'),
        update_title="",
    )
    app.logger.setLevel(logging.WARNING)
    app.layout = _layout()

    # While a page waits for its news it asks no more: an answer that is overtaken is thrown away.
    @app.callback(
        Output("news", "data"),
        Input("clock", "n_intervals"),
        State("have", "data"),
        running=[(Output("clock", "disabled"), True, False)],
    )
    def tell(_: int, have: dict[str, int] | None) -> Any:
        """What the page lacks."""
        held = have or {}
        known = [int(held.get(name, -1)) for name in ("epoch", "campaigns", "live")]
        return catalogue.news(*known) or no_update

    def call(name: str, *wires: Any) -> None:
        register: Any = app.clientside_callback  # Dash gives it no types
        register(ClientsideFunction("bitfleet", name), *wires)

    call("receive", Output("have", "data"), Input("news", "data"))
    call(
        "draw",
        *(Output(name, "figure") for name in _FIGURES),
        Input("have", "data"),
    )
    call("restore", Input("url", "search"))
    for name in _FIGURES:
        call("clicked", Input(name, "clickData"))
    _add_routes(app.server, catalogue)
    return app


def _layout() -> html.Div:
    def figure(name: str) -> html.Div:
        graph = dcc.Graph(id=name, config=_CONFIG, responsive=True)
        return html.Div(graph, className=f"plot {name}-plot")

    return html.Div(
        className="bitfleet",
        children=[
            dcc.Location(id="url", refresh=False),
            dcc.Interval(id="clock", interval=_EVERY_MS),
            dcc.Store(id="news"),
            dcc.Store(id="have"),
            html.Header([
                html.P("Bitfleet dashboard", className="eyebrow"),
                html.H1("Reading …", id="name"),
                html.P(id="facts"),
            ]),
            html.Div(className="body", children=[
                html.Aside(className="side", **_named("Prices and choices"), children=[
                    html.Div(id="choices"), html.H2("Prices"), html.Div(id="prices"),
                ]),
                html.Main(className="main", children=[
                    html.Section(
                        [html.H2("Campaigns under way"), html.Div(id="standing")],
                        id="standing-section", hidden=True,
                    ),
                    html.Section([
                        html.H2("Accuracy against cost"),
                        figure("plane"),
                        html.P(id="plane-note", className="note"),
                    ]),
                    html.Section(html.Div(id="campaign"), id="campaign-section", hidden=True),
                    html.Div(className="pair", children=[
                        html.Section([
                            html.Div(
                                [html.H2("Fleet size and bitrate"), html.Div(id="heat-choice")],
                                className="top",
                            ),
                            figure("heat"),
                            html.P(id="heat-note", className="note"),
                        ]),
                        html.Section([
                            html.Div(html.H2("Accuracy against bits per pixel"), className="top"),
                            figure("rate"),
                            html.P(id="rate-note", className="note"),
                        ]),
                    ]),
                    html.Section([html.H2("Points"), html.Div(id="points")]),
                ]),
            ]),
        ],
    )  # fmt: skip


def _named(label: str) -> Any:
    """What names an element to those who cannot see it."""
    return {"aria-label": label}


def _add_routes(server: flask.Flask, catalogue: Catalogue) -> None:
    """Adds what the page fetches of an opened campaign; a name that is not known is answered 404."""

    def folder() -> Path:
        found = catalogue.folder_of(flask.request.args.get("campaign", ""))
        return found or flask.abort(404)

    @server.get("/details")
    def details() -> flask.Response:
        return flask.jsonify(read_details(folder(), frames_by_file))

    @server.get("/picture")
    def picture() -> flask.Response:
        pictures = (folder() / "pictures").resolve()
        name = flask.request.args.get("file", "")
        path = (pictures / name).resolve() if "\0" not in name else pictures
        # A bare name of a picture, and no link that leads out of the folder.
        if path.parent != pictures or path.suffix != ".png" or "__" not in path.name:
            flask.abort(404)
        if not path.is_file():
            flask.abort(404)
        return flask.send_file(path, mimetype="image/png", max_age=0)

    @server.after_request
    def careful(response: flask.Response) -> flask.Response:
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response
