"""A made-up sweep, its dashboard served on a free port, and a headless Chromium to look at it."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from server.dashboard.serve import open_server


def _load_synthetic() -> ModuleType:
    """Tests are no package: what they share is loaded by its path."""
    spec = importlib.util.spec_from_file_location(
        "synthetic", Path(__file__).with_name("synthetic.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["synthetic"] = module
    spec.loader.exec_module(module)
    return module


made: Any = _load_synthetic()


@pytest.fixture(scope="session")
def synthetic() -> Any:
    return made


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    """A page that remembers what went wrong in it and what it asked for."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.wrong: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda m: m.type == "error" and self.wrong.append(m.text))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("response", lambda r: r.status >= 400 and self.wrong.append(f"{r.status} {r.url}"))

    def check(self, allowed: tuple[str, ...]) -> None:
        """Nothing went wrong, and nothing was asked of anyone else."""
        assert self.wrong == []
        assert self.asked
        assert [url for url in self.asked if not url.startswith((*allowed, "data:", "blob:"))] == []


@pytest.fixture
def watch(chromium: Any) -> Iterator[Any]:
    """Opens an address in a page of its own, once it has drawn its figures."""
    contexts = []

    def opened(address: str, width: int = 1400) -> Watched:
        context = chromium.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        context.set_default_timeout(90_000)
        watched = Watched(context.new_page())
        watched.page.goto(address)
        watched.page.wait_for_selector("#facts:not(:empty)")
        watched.page.wait_for_function("document.querySelector('#plane .main-svg')")
        return watched

    yield opened
    for context in contexts:
        context.close()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder's dashboard."""
    server = open_server(folder, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def serving() -> Any:
    return served


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of 16 campaigns of two seeds, one failed besides."""
    grid = made.Grid(vehicles=(4, 16), bits_per_hour=(100_000, 900_000), seeds=(0, 1))
    failed = [{"campaign": "lost", "error": "no labelled frame was delivered"}]
    folder: Path = made.write_sweep(tmp_path_factory.mktemp("dashboard") / "sweep", grid, failed)
    return folder
