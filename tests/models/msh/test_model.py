"""The neural codec's model: exact whatever the machine does, and true to the network it came from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.msh.model import Coded, MshModel
from models.msh.network import VariableRateMsh
from models.msh.rans import DamagedStream
from models.msh.rate import GAIN_ONE, HIGHEST_GAIN, LOWEST_GAIN, gain_of, quality_of
from models.msh.weights import MshWeights, load_msh, save_msh
from models.segmenter_training import cpu_threads

from .conftest import network, noise

SIZES = [(64, 64), (1, 1), (65, 127), (100, 40)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("quality", [0.0, 3.7, 8.0])
def test_latents_come_back_at_any_size_and_rate(
    model: MshModel, size: tuple[int, int], quality: float
) -> None:
    frame, gain = noise(*size), gain_of(quality)
    (latents,) = model.analyse([frame])
    coded = model.encode(latents, gain)
    decoded = model.decode(coded, *size, gain)  # compares the digest of its latents
    assert decoded.shape == (*size, 3)
    estimate = model.estimate(latents, gain)
    assert estimate - 33 <= 8 * len(coded.payload) <= estimate + 1


def test_at_a_gain_of_one_it_is_the_network_it_came_from(
    model: MshModel, trainable: VariableRateMsh
) -> None:
    frame = noise(128, 192)
    (latents,) = model.analyse([frame])
    decoded = model.decode(model.encode(latents, GAIN_ONE), 128, 192, GAIN_ONE)
    x_13HW = torch.from_numpy(frame)[None].permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        out = trainable.net(x_13HW)
        _, bits = trainable(x_13HW, torch.ones(1))
    wanted = (out["x_hat"][0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()
    difference = np.abs(decoded.astype(int) - wanted)
    assert difference.mean() < 0.5, "means are rounded to 1/4096, some latents to another integer"
    assert model.estimate(latents, GAIN_ONE) == pytest.approx(float(bits), rel=0.02)


def test_threads_batches_and_memory_formats_decode_alike(
    weights: MshWeights, model: MshModel
) -> None:
    frames = [noise(96, 130, seed) for seed in range(4)]
    together = model.analyse(frames)
    for frame, latents in zip(frames, together, strict=True):
        coded = model.encode(latents, gain_of(5))
        reference = model.decode(coded, 96, 130, gain_of(5))
        other = MshModel(weights, torch.device("cpu"), threads=2)
        with torch.backends.mkldnn.flags(enabled=False):
            plain = other.decode(coded, 96, 130, gain_of(5))
        # Latents are the same (their digest is checked); pixels come out of floats.
        assert np.abs(plain.astype(int) - reference).max() <= 1
        (alone,) = model.analyse([frame])
        assert torch.equal(alone.means_Mhw, latents.means_Mhw) or not torch.equal(
            alone.z_Chw, latents.z_Chw
        )


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("onednn", [True, False])
def test_means_and_scales_are_the_same_bits(
    model: MshModel, threads: int, batch: int, onednn: bool
) -> None:
    z = torch.from_numpy(np.random.default_rng(0).integers(-60, 61, (4, 8, 3, 5)))
    with cpu_threads(1):
        wanted = model._h_s(z)
    with cpu_threads(threads), torch.backends.mkldnn.flags(enabled=onednn):
        parts = [
            model._h_s(z[start : start + batch].contiguous(memory_format=torch.channels_last))
            for start in range(0, 4, batch)
        ]
    for index in range(2):
        assert torch.equal(torch.cat([part[index] for part in parts]), wanted[index])


def test_means_and_scales_are_those_of_integer_arithmetic(
    weights: MshWeights, model: MshModel
) -> None:
    """Worked out once more with Python's integers, which are exact by nature."""
    z = np.random.default_rng(1).integers(-9, 10, (8, 1, 1))
    medians = weights.tensors["medians"].numpy().astype(object)[:, None, None]
    x = z.astype(object) * 4096 + medians
    for layer in (0, 2):
        x = _transposed(x, weights, layer)
    weight = weights.tensors["h_s.4.weight"].numpy().astype(object)
    bias = weights.tensors["h_s.4.bias"].numpy().astype(object)
    fraction = int(weights.tensors["h_s.4.fraction"])
    high, wide = x.shape[1:]
    padded = np.zeros((x.shape[0], high + 2, wide + 2), object)
    padded[:, 1:-1, 1:-1] = x
    scales_means = np.zeros((len(bias), high, wide), object)
    for row in range(high):
        for column in range(wide):
            patch = padded[:, row : row + 3, column : column + 3]
            total = (weight * patch[None]).sum((1, 2, 3)) + bias
            scales_means[:, row, column] = [_shift(value, fraction) for value in total]
    means, scales = model._h_s(torch.from_numpy(z)[None])
    wanted = scales_means.astype(np.int64)
    assert np.array_equal(scales[0].numpy(), wanted[:12])
    assert np.array_equal(means[0].numpy(), wanted[12:])
    assert len(np.unique(wanted)) > 50


def _shift(value: int, fraction: int) -> int:
    rounded = (value + (1 << fraction >> 1)) >> fraction
    return max(-(1 << 22), min(1 << 22, rounded))


def _transposed(x: np.ndarray, weights: MshWeights, layer: int) -> np.ndarray:
    """A transposed convolution of stride 2, 5×5, and its leaky ReLU, with Python's integers."""
    weight = weights.tensors[f"h_s.{layer}.weight"].numpy().astype(object)
    bias = weights.tensors[f"h_s.{layer}.bias"].numpy().astype(object)
    fraction = int(weights.tensors[f"h_s.{layer}.fraction"])
    _, high, wide = x.shape
    total = np.zeros((weight.shape[1], 2 * high + 4, 2 * wide + 4), object)
    for row in range(high):
        for column in range(wide):
            spread = (weight * x[:, row, column][:, None, None, None]).sum(0)
            total[:, 2 * row : 2 * row + 5, 2 * column : 2 * column + 5] += spread
    total = total[:, 2 : 2 + 2 * high, 2 : 2 + 2 * wide] + bias[:, None, None]
    leaky = np.vectorize(lambda v: _shift(v * 41 if v < 0 else v * 4096, fraction + 12), [object])
    out: np.ndarray = leaky(total)
    return out


def test_other_latents_are_found_out(model: MshModel) -> None:
    (latents,) = model.analyse([noise(64, 64)])
    gain = gain_of(4)
    coded = model.encode(latents, gain)
    with pytest.raises(DamagedStream, match="not those that were encoded"):
        model.decode(replace(coded, digest=bytes(8)), 64, 64, gain)
    with pytest.raises(DamagedStream):
        model.decode(coded, 64, 63, gain)  # the very same latents, another frame
    with pytest.raises(DamagedStream):
        model.decode(coded, 64, 64, gain + 1)
    with pytest.raises(DamagedStream):
        model.decode(Coded(coded.payload[:-4], coded.digest), 64, 64, gain)
    with pytest.raises(DamagedStream):
        model.decode(Coded(coded.payload + bytes(4), coded.digest), 64, 64, gain)


def test_finer_qualities_take_more_bits(model: MshModel) -> None:
    (latents,) = model.analyse([noise(128, 128)])
    bits = [model.estimate(latents, gain_of(quality)) for quality in np.linspace(0, 8, 17)]
    assert bits == sorted(bits)
    assert bits[-1] > 2 * bits[0]


def test_gains_and_qualities_are_told_from_each_other() -> None:
    assert (gain_of(0), gain_of(4), gain_of(8)) == (LOWEST_GAIN, GAIN_ONE, HIGHEST_GAIN)
    for quality in np.linspace(0, 8, 33):
        assert quality_of(gain_of(float(quality))) == pytest.approx(quality, abs=1e-3)
    for quality in (-0.1, 8.1, float("nan")):
        with pytest.raises(ValueError, match="from 0 to 8"):
            gain_of(quality)


# Weights


def test_weights_come_back_with_their_digest(weights: MshWeights, tmp_path) -> None:
    save_msh(weights, tmp_path / "w.safetensors")
    again = load_msh(tmp_path / "w.safetensors")
    assert again.digest == weights.digest
    assert again.note == "for tests"
    assert (again.channels, again.latents) == (8, 12)


def test_damaged_and_foreign_weights_are_refused(weights: MshWeights, tmp_path) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(ValueError, match="is not a file"):
        load_msh(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="not a safetensors file"):
        load_msh(path)
    save_msh(weights, path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        load_msh(path)
    tensors = {**weights.tensors}
    del tensors["h_s.2.bias"]
    save_msh(MshWeights(tensors), path)
    with pytest.raises(ValueError, match=r"w\.safetensors: tensor 'h_s\.2\.bias' is missing"):
        load_msh(path)
    tensors = {**weights.tensors, "g_s.6.bias": torch.zeros(4)}
    save_msh(MshWeights(tensors), path)
    with pytest.raises(ValueError, match=r"g_s\.6\.bias is \(4,\), must be \(3,\)"):
        load_msh(path)


def test_other_networks_have_other_digests(weights: MshWeights) -> None:
    from models.msh.export import export

    assert export(network(1)).digest != weights.digest == export(network(0)).digest
