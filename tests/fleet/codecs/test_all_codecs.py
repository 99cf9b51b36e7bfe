"""What holds for every codec of the registry."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from fleet.codecs import Codec, CodecConfig, codec_config, codec_names, identify
from fleet.codecs.pillow import webp_header
from fleet.errors import BitstreamError, InputError

SETTINGS = [
    ("bpg", {"preset": "superfast"}),
    ("bpg", {"chroma": "444", "preset": "ultrafast"}),
    ("jpeg", {}),
    ("jpeg", {"subsampling": "444", "progressive": True, "optimize": False}),
    ("webp", {}),
    ("webp", {"method": 0}),
    ("avif", {"speed": 8}),
    ("avif", {"subsampling": "444", "speed": 9}),
    ("msh", {}),
    ("lossless", {}),
    ("lossless", {"method": 0}),
]


@pytest.fixture(params=SETTINGS, ids=lambda p: "-".join([p[0], *map(str, p[1].values())]))
def codec(request) -> Codec:
    name, settings = request.param
    return codec_config(name, **settings).build()


def fine(codec: Codec) -> float:
    """A fine quality that is not the very finest."""
    return codec.scale.at(0.85 * codec.scale.span)


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (7, 2), (17, 33), (40, 55), (64, 48)])
def test_round_trip_of_any_size(make_frame, psnr, codec, size) -> None:
    frame = make_frame(*size)
    bitstream = codec.encode(frame, fine(codec))
    assert isinstance(bitstream, bytes)
    header = codec.probe(bitstream)
    assert (header.height, header.width) == size
    decoded = codec.decode(bitstream, size[0] * size[1])
    assert decoded.shape == frame.shape
    assert decoded.dtype == np.uint8
    assert psnr(decoded, frame) > {"lossless": 1000, "msh": 20}.get(codec.name, 29)


def test_finer_qualities_take_more_bits_and_look_better(make_frame, psnr, codec) -> None:
    frame = make_frame(96, 128)
    scale = codec.scale
    qualities = [scale.at(p * scale.span) for p in (0, 0.25, 0.5, 0.75, 1)]
    sizes, errors = [], []
    for quality in qualities:
        bitstream = codec.encode(frame, quality)
        sizes.append(len(bitstream))
        errors.append(psnr(codec.decode(bitstream, 96 * 128), frame))
    assert sizes == sorted(sizes)
    assert errors == sorted(errors)
    if scale.span:
        assert sizes[-1] > 2 * sizes[0]


def test_same_bits_and_pixels_on_any_thread(make_frame, codec) -> None:
    frames = [make_frame(48, 64, seed) for seed in range(4)] * 3
    alone = [codec.encode(frame, fine(codec)) for frame in frames]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda frame: codec.encode(frame, fine(codec)), frames))
        decoded = list(pool.map(lambda data: codec.decode(data, 48 * 64), alone))
    assert together == alone
    for data, pixels in zip(alone, decoded, strict=True):
        np.testing.assert_array_equal(codec.decode(data, 48 * 64), pixels)


def test_a_view_is_encoded_like_its_copy(make_frame, codec) -> None:
    view = make_frame(48, 64)[::-1, ::2]
    assert codec.encode(view, fine(codec)) == codec.encode(view.copy(), fine(codec))


def test_too_many_pixels_are_refused(make_frame, codec) -> None:
    bitstream = codec.encode(make_frame(20, 30), fine(codec))
    with pytest.raises(BitstreamError, match=r"30×20.*599"):
        codec.decode(bitstream, 599)


def test_a_quality_off_the_scale_is_refused(make_frame, codec) -> None:
    scale = codec.scale
    low, high = sorted((scale.coarsest, scale.finest))
    for quality in (low - 1, high + 1, *((low + 0.5,) if scale.step else ())):
        with pytest.raises(ValueError, match="quality"):
            codec.encode(make_frame(8, 8), quality)
    with pytest.raises(ValueError):
        codec.encode(make_frame(8, 8), float("nan"))


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((1, 70_000, 3), np.uint8),
    ],
)
def test_what_is_no_frame_is_refused(codec, frame) -> None:
    with pytest.raises(ValueError, match="frame"):
        codec.encode(frame, codec.scale.coarsest)


def test_bitstreams_are_identified(make_frame, codec) -> None:
    bitstream = codec.encode(make_frame(20, 30), fine(codec))
    found = identify(bitstream)
    assert found.name == codec.name
    decoded = codec.decode(bitstream, 600)
    np.testing.assert_array_equal(found.build().decode(bitstream, 600), decoded)


def test_other_codecs_refuse_a_bitstream(make_frame, codec) -> None:
    bitstream = codec.encode(make_frame(20, 30), fine(codec))
    for name in codec_names():
        if name != codec.name:
            with pytest.raises(BitstreamError):
                codec_config(name).build().decode(bitstream, 600)


@pytest.mark.parametrize("data", [b"", b"BP", b"GIF89a", bytes(100), b"RIFF\0\0\0\0WAVE", b"P6\n"])
def test_unknown_bytes_are_identified_as_none(data: bytes) -> None:
    with pytest.raises(BitstreamError, match="no known codec"):
        identify(data)


def test_the_registry_names_its_codecs() -> None:
    assert codec_names() == ("bpg", "jpeg", "webp", "avif", "msh", "lossless")
    adapter: TypeAdapter = TypeAdapter(CodecConfig)
    for name in codec_names():
        config = codec_config(name)
        assert config.build().name == name
        assert adapter.validate_python({"name": name}) == config
        assert all(f.description for key, f in type(config).model_fields.items() if key != "name")


@pytest.mark.parametrize(
    ("name", "settings", "match"),
    [
        ("png", {}, "must be one of bpg"),
        ("bpg", {"chroma": "422"}, "chroma"),
        ("bpg", {"qp": 3}, "qp"),
        ("webp", {"method": 7}, "method"),
        ("webp", {"method": "4"}, "method"),
        ("jpeg", {"optimize": 1}, "optimize"),
    ],
)
def test_wrong_settings_are_refused_by_name(name, settings, match) -> None:
    with pytest.raises(InputError, match=match):
        codec_config(name, **settings)
    with pytest.raises(ValidationError):
        TypeAdapter(CodecConfig).validate_python({"name": name, **settings})


@pytest.mark.parametrize("name", ["webp", "avif"])
def test_animations_and_transparency_are_refused(tmp_path, make_frame, name) -> None:
    images = [Image.fromarray(make_frame(20, 30, seed)) for seed in range(3)]
    several, clear = tmp_path / f"several.{name}", tmp_path / f"clear.{name}"
    images[0].save(several, save_all=True, append_images=images[1:])
    transparent = images[0].convert("RGBA")
    transparent.putalpha(77)
    transparent.save(clear)
    for path in (several, clear):
        with pytest.raises(BitstreamError):
            codec_config(name).build().decode(path.read_bytes(), 600)


def test_a_grey_jpeg_is_read(tmp_path, make_frame) -> None:
    path = tmp_path / "grey.jpg"
    Image.fromarray(make_frame(20, 30)).convert("L").save(path)
    assert codec_config("jpeg").build().decode(path.read_bytes(), 600).shape == (20, 30, 3)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (30, 20), (300, 257)])
@pytest.mark.parametrize("kind", ["VP8 ", "VP8L"])
def test_webp_sizes_are_read_without_decoding(make_frame, width, height, kind) -> None:
    codec = codec_config("lossless" if kind == "VP8L" else "webp").build()
    found, header = webp_header(codec.encode(make_frame(height, width), 0))
    assert found == kind
    assert (header.width, header.height) == (width, height)
