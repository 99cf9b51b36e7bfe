"""Measures that need torchmetrics: what is missing is named in one line, and nothing hangs."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch

from models import perceptual
from models.perceptual import Fid, Lpips, MeasureUnavailable

CPU = torch.device("cpu")
MODULES = (
    "torchmetrics",
    "torchmetrics.image",
    "torchmetrics.image.lpip",
    "torchmetrics.image.fid",
)


class _Metric:
    """What both of torchmetrics' classes share; it records what it is given."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.seen: list[tuple[torch.Tensor, bool]] = []
        self.resets = 0
        print("Downloading: ...")

    def to(self, device: torch.device) -> _Metric:
        return self

    def set_dtype(self, dtype: torch.dtype) -> _Metric:
        assert dtype == torch.float64
        return self

    def reset(self) -> None:
        self.resets += 1
        self.seen = []

    def __call__(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        for x in (a, b):
            assert x.shape[:2] == (1, 3)
            assert x.dtype == torch.float32
            assert float(x.max()) <= 1
        return (a - b).abs().mean()

    def update(self, frames: torch.Tensor, real: bool) -> None:
        assert frames.dtype == torch.uint8
        self.seen.append((frames, real))

    def compute(self) -> torch.Tensor:
        def mean(which: bool) -> torch.Tensor:
            return torch.cat([f.flatten().float() for f, real in self.seen if real is which]).mean()

        return (mean(True) - mean(False)) ** 2


def _install(monkeypatch: pytest.MonkeyPatch, metric: Any) -> None:
    modules = {name: ModuleType(name) for name in MODULES}
    modules["torchmetrics.image.lpip"].__dict__["LearnedPerceptualImagePatchSimilarity"] = metric
    modules["torchmetrics.image.fid"].__dict__["FrechetInceptionDistance"] = metric
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)


def _frame(level: int, height: int = 40) -> np.ndarray:
    return np.full((height, 48, 3), level, np.uint8)


@pytest.mark.parametrize(("measure", "name"), [(Lpips, "LPIPS"), (Fid, "FID")])
def test_without_torchmetrics(measure: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in MODULES:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MeasureUnavailable, match=f"^{name}: torchmetrics cannot be") as caught:
        measure(CPU)
    assert caught.value.name == name
    assert "torchmetrics" in caught.value.reason
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("measure", "name"), [(Lpips, "LPIPS"), (Fid, "FID")])
def test_without_weights(measure: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    patience: list[float | None] = []

    def unreachable(**options: Any) -> None:
        patience.append(socket.getdefaulttimeout())
        raise URLError("timed\nout")

    _install(monkeypatch, unreachable)
    with pytest.raises(MeasureUnavailable, match=f"^{name}: .*weights.*timed out") as caught:
        measure(CPU)
    assert "\n" not in str(caught.value)
    assert patience == [perceptual.TIMEOUT_S]
    assert socket.getdefaulttimeout() is None


def test_a_server_that_does_not_answer_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/weights.pth"

        def download(**options: Any) -> None:
            torch.hub.load_state_dict_from_url(url, progress=False)

        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        monkeypatch.setattr(perceptual, "TIMEOUT_S", 0.2)
        _install(monkeypatch, download)
        with pytest.raises(MeasureUnavailable, match="timed out"):
            Lpips(CPU)


def test_lpips(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _install(monkeypatch, _Metric)
    lpips = Lpips(CPU)
    assert capsys.readouterr() == ("", "Downloading: ...\n")
    assert lpips._metric.options == {"net_type": "alex", "normalize": True}
    assert lpips(_frame(10), _frame(61)) == pytest.approx(0.2)
    assert lpips._metric.resets == 1
    with pytest.raises(ValueError, match="one size"):
        lpips(_frame(10), _frame(10, height=41))


def test_fid(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, _Metric)
    fid = Fid(CPU, features=64)
    assert fid._metric.options == {"feature": 64}
    originals = [_frame(10), _frame(10), _frame(10, height=44)]
    assert fid(iter(originals), [_frame(13)] * 3, batch_size=2) == pytest.approx(9)
    assert [(len(f), real) for f, real in fid._metric.seen] == [
        (2, True),
        (1, True),
        (2, False),
        (1, False),
    ]
    assert fid(originals, originals) == 0
    with pytest.raises(ValueError, match=r"2 frames at least.*got 1"):
        fid(originals, originals[:1])


def test_the_real_ones_where_they_can_be_had() -> None:
    pytest.importorskip("torchmetrics")
    frames = list(np.random.default_rng(0).integers(0, 256, (4, 64, 96, 3)).astype(np.uint8))
    blurred = [frame // 4 + 96 for frame in frames]
    try:
        lpips = Lpips(CPU)
        assert lpips(frames[0], frames[0]) == pytest.approx(0, abs=1e-6)
        assert lpips(frames[0], blurred[0]) > 0.01
        fid = Fid(CPU, features=64)
        assert fid(frames, frames) == pytest.approx(0, abs=1e-3)
        assert fid(frames, blurred) > 0.1
    except MeasureUnavailable as missing:
        pytest.skip(str(missing))
