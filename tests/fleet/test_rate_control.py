"""Rate control: the finest quality that fits, found in few encodes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.budget import Allowance
from fleet.codecs import LosslessConfig
from fleet.codecs.base import QualityScale
from fleet.rate_control import Choice, RateControlConfig, RateController

QP = QualityScale(coarsest=51, finest=0, step=1, log2_bits_per_unit=1 / 6)
SMOOTH = QualityScale(coarsest=0.0, finest=10.0, step=0, log2_bits_per_unit=0.5)


def curve(seed: int, scale: QualityScale) -> dict[float, int]:
    """Bits by quality of a made-up frame: rising, uneven from step to step."""
    rng = np.random.default_rng(seed)
    steps = round(scale.span / (scale.step or 0.01)) + 1
    growth = rng.uniform(0.3, 1.7, steps) * scale.log2_bits_per_unit * scale.span / steps
    bits = 2 ** (rng.uniform(9, 13) + np.cumsum(growth))
    at = np.arange(steps) * (scale.step or 0.01)
    return {float(scale.at(position)): int(b) for position, b in zip(at, bits, strict=True)}


@given(st.integers(0, 10_000), st.floats(0.0, 1.0))
def test_a_limit_per_frame_gets_the_finest_quality_that_fits(seed: int, place: float) -> None:
    bits = curve(seed, QP)
    limit = int(min(bits.values()) * 0.9 + place * max(bits.values()))
    controller = RateController(RateControlConfig(max_encodes=64), QP, 1)
    choice = controller.choose(0, 10_000, Allowance(limit, limit), bits.__getitem__)
    fitting = [quality for quality, size in bits.items() if size <= limit]
    if fitting:
        assert choice.quality == min(fitting)
        assert choice.bits == bits[min(fitting)]
    else:
        assert choice.quality is None


@given(st.integers(0, 10_000), st.integers(-100, 10**7), st.integers(0, 10**7))
def test_a_limit_is_never_exceeded(seed: int, limit: int, aim: int) -> None:
    bits = curve(seed, QP)
    controller = RateController(RateControlConfig(), QP, 1)
    choice = controller.choose(0, 10_000, Allowance(limit, min(aim, limit)), bits.__getitem__)
    assert choice.encodes <= 6
    assert choice.bits <= max(0, limit)
    assert (choice.quality is None) == (choice.bits == 0)


def test_few_encodes_once_the_model_has_learned() -> None:
    controller = RateController(RateControlConfig(), QP, 1)
    encodes = []
    for frame in range(200):
        base = curve(7, QP)
        wobble = 2 ** (0.3 * np.sin(frame / 9) + np.random.default_rng(frame).normal(0, 0.08))
        bits = {quality: int(size * wobble) for quality, size in base.items()}
        limit = base[30.0]
        choice = controller.choose(0, 10_000, Allowance(limit, limit), bits.__getitem__)
        encodes.append(choice.encodes)
    assert np.mean(encodes[10:]) <= 3


def test_an_even_share_takes_one_encode_a_frame() -> None:
    controller = RateController(RateControlConfig(), QP, 1)
    bits = curve(3, QP)
    allowance = Allowance(4 * bits[30.0], bits[30.0])
    encodes = [controller.choose(0, 10_000, allowance, bits.__getitem__).encodes for _ in range(20)]
    assert encodes[-1] == 1


def test_a_continuous_knob_uses_nearly_all_of_a_limit() -> None:
    controller = RateController(RateControlConfig(max_encodes=16), SMOOTH, 1)

    def encode(quality: float) -> int:
        return int(2 ** (12 + 0.4 * quality + 0.02 * np.sin(9 * quality)))

    choice = controller.choose(0, 10_000, Allowance(30_000, 30_000), encode)
    assert 0.98 * 30_000 <= choice.bits <= 30_000


def test_config_bounds_narrow_the_scale() -> None:
    config = RateControlConfig(coarsest=40, finest=20)
    controller = RateController(config, QP, 1)
    bits = curve(1, QP)
    rich = controller.choose(0, 10_000, Allowance(10**9, 10**9), bits.__getitem__)
    assert rich.quality == 20
    assert controller.choose(0, 10_000, Allowance(1, 1), bits.__getitem__).quality is None
    for bad in (RateControlConfig(coarsest=20, finest=40), RateControlConfig(finest=99)):
        with pytest.raises(ValueError, match=r"rate_control\.finest"):
            bad.scale(QP)


ONE_QP = RateControlConfig(coarsest=37, finest=37)


@pytest.mark.parametrize(
    ("config", "codec", "only"),
    [(RateControlConfig(), LosslessConfig().build().scale, 0), (ONE_QP, QP, 37)],
)
@pytest.mark.parametrize("aim", [0, 500, 1000, 5000])
def test_a_single_quality_is_tried_once_and_fits_or_not(
    config: RateControlConfig, codec: QualityScale, only: float, aim: int
) -> None:
    controller = RateController(config, codec, 2)
    tried: list[float] = []

    def encode(quality: float) -> int:
        tried.append(quality)
        return 1000

    for limit, quality in ((1000, only), (999, None), (10**18, only)):
        choice = controller.choose(1, 10_000, Allowance(limit, min(aim, limit)), encode)
        assert choice == Choice(quality, 0 if quality is None else 1000, 1)
    assert tried == [only] * 3
    assert controller.choose(1, 10_000, Allowance(0, 0), encode) == Choice(None, 0, 0)
    assert len(tried) == 3, "with nothing to spend, nothing is encoded"
