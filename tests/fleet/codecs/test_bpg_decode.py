"""Reading BPG files: the reference encoder's, and ones of every format made here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fleet.codecs import BpgConfig, Frame
from fleet.codecs.bpg import container, encoder
from fleet.codecs.bpg.container import ColourSpace, PixelFormat
from fleet.errors import BitstreamError

VECTORS = [
    f"{source}_{maker}_{chroma}_q{qp}"
    for source in ("odd", "gray", "street", "cam")
    for maker in ("x265", "jctvc")
    for chroma in ("420", "444")
    for qp in (24, 40)
]
CODEC = BpgConfig().build()


@pytest.mark.parametrize("name", VECTORS)
def test_reference_files_decode_like_the_reference(bpg_vectors: Path, name: str, psnr) -> None:
    expected = np.array(Image.open(bpg_vectors / f"{name}.png").convert("RGB"))
    bitstream = (bpg_vectors / f"{name}.bpg").read_bytes()
    header = CODEC.probe(bitstream)
    assert (header.height, header.width) == expected.shape[:2]
    decoded = CODEC.decode(bitstream, expected.shape[0] * expected.shape[1])
    if "420" in name and not name.startswith("gray"):
        assert psnr(decoded, expected) > 57
    else:
        np.testing.assert_array_equal(decoded, expected)


LUMA = {
    ColourSpace.YCBCR_BT601: (0.299, 0.114),
    ColourSpace.YCBCR_BT709: (0.2126, 0.0722),
    ColourSpace.YCBCR_BT2020: (0.2627, 0.0593),
}


def components(frame: Frame, space: ColourSpace) -> list[NDArray[np.float64]]:
    """The three components: luma (or all, for RGB) in [0, 1], differences in [−0.5, 0.5]."""
    r, g, b = np.moveaxis(frame / 255.0, 2, 0)
    if space == ColourSpace.RGB:
        return [g, b, r]
    if space == ColourSpace.YCGCO:
        return [(r + 2 * g + b) / 4, (2 * g - r - b) / 4, (r - b) / 2]
    red, blue = LUMA[space]
    y = red * r + (1 - red - blue) * g + blue * b
    return [y, (b - y) / (2 - 2 * blue), (r - y) / (2 - 2 * red)]


def samples(
    values: NDArray[np.float64], difference: bool, depth: int, limited: bool
) -> NDArray[np.uint16]:
    unit = 1 << (depth - 8)
    if limited:
        values = values * (224 if difference else 219) * unit
        values = values + (128 if difference else 16) * unit
    else:
        values = values * (256 * unit - 1) + (128 * unit if difference else 0)
    return np.clip(np.rint(values), 0, 256 * unit - 1).astype(np.uint16)


def make_bpg(
    frame: Frame,
    kind: PixelFormat,
    space: ColourSpace = ColourSpace.YCBCR_BT601,
    depth: int = 8,
    limited: bool = False,
    extension: bytes = b"",
) -> bytes:
    """A BPG file of a frame (sides multiples of 16) in any of the format's representations."""
    planes = components(frame, space)
    planes = planes[:1] if kind == PixelFormat.GREY else planes
    left = kind in (PixelFormat.YUV420_MPEG2, PixelFormat.YUV422_MPEG2)
    for i in range(1, len(planes)):
        if kind.chroma_format_idc in (1, 2):
            p = np.pad(planes[i], ((0, 0), (1, 1)), mode="edge")
            centred, on_left = (
                p[:, 1:-1:2] + p[:, 2::2],
                p[:, :-2:2] + 2 * p[:, 1:-1:2] + p[:, 2::2],
            )
            planes[i] = on_left / 4 if left else centred / 2
        if kind.chroma_format_idc == 1:
            planes[i] = (planes[i][0::2] + planes[i][1::2]) / 2
    name = ("gray", "yuv420p", "yuv422p", "yuv444p")[kind.chroma_format_idc]
    name = "gbrp" if space == ColourSpace.RGB else name
    picture: Any = av.VideoFrame(
        frame.shape[1], frame.shape[0], name + (f"{depth}le" * (depth > 8))
    )
    for i, (plane, values) in enumerate(zip(picture.planes, planes, strict=True)):
        rows = np.frombuffer(plane, "<u2" if depth > 8 else "u1").reshape(plane.height, -1)
        difference = i > 0 and space != ColourSpace.RGB
        rows[:, : plane.width] = samples(values, difference, depth, limited)
    stream = encoder.encode_picture(picture, 8, "superfast", "psnr", 8)
    file = encoder.strip(stream, frame.shape[1], frame.shape[0])
    assert file.header.bit_depth == depth
    header = replace(file.header, pixel_format=kind, colour_space=space, limited_range=limited)
    return container.write(replace(file, header=header), extension)


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("depth", [8, 10, 12])
@pytest.mark.parametrize("space", ColourSpace)
def test_every_colour_space_depth_and_range(
    make_frame, psnr, space: ColourSpace, depth: int, limited: bool
) -> None:
    frame = make_frame(48, 64)
    bitstream = make_bpg(frame, PixelFormat.YUV444, space, depth, limited)
    assert psnr(CODEC.decode(bitstream, 48 * 64), frame) > 44


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("kind", PixelFormat)
def test_every_pixel_format(make_frame, psnr, kind: PixelFormat, depth: int) -> None:
    frame = make_frame(64, 80)
    frame[:] = (frame // 2 + np.arange(80)[None, :, None] * (1, 0, -1) + (0, 40, 100)).clip(0, 255)
    if kind == PixelFormat.GREY:
        frame[:] = frame[..., :1]
    decoded = CODEC.decode(make_bpg(frame, kind, depth=depth), 64 * 80)
    assert psnr(decoded, frame) > 36
    if kind in (PixelFormat.YUV420_MPEG2, PixelFormat.YUV422_MPEG2):
        other = make_bpg(frame, kind, depth=depth)
        wrong = bytes([other[4] & 0x1F | (kind - 3) << 5])
        shifted = CODEC.decode(other[:4] + wrong + other[5:], 64 * 80)
        assert psnr(shifted, frame) < psnr(decoded, frame)


def test_grey_is_exact_in_all_channels(make_frame) -> None:
    decoded = CODEC.decode(make_bpg(make_frame(32, 32), PixelFormat.GREY), 1024)
    assert (decoded[..., 0] == decoded[..., 1]).all()
    assert (decoded[..., 0] == decoded[..., 2]).all()


def test_extension_data_is_skipped(make_frame) -> None:
    frame = make_frame(32, 32)
    plain = make_bpg(frame, PixelFormat.YUV444)
    extended = make_bpg(frame, PixelFormat.YUV444, extension=b"\x01\x84\x1e" + bytes(542))
    assert (CODEC.decode(extended, 1024) == CODEC.decode(plain, 1024)).all()


def test_a_depth_that_the_decoder_lacks_is_refused_by_name(make_frame) -> None:
    bitstream = bytearray(make_bpg(make_frame(32, 32), PixelFormat.YUV444))
    bitstream[4] = bitstream[4] & 0xF0 | 3
    with pytest.raises(BitstreamError, match="bit depth 11"):
        CODEC.decode(bytes(bitstream), 1024)


def test_a_size_that_the_picture_does_not_have_is_refused_or_padding(make_frame) -> None:
    bitstream = CODEC.encode(make_frame(64, 64), 30)
    file = container.parse(bitstream)
    for width, height in ((128, 64), (64, 128), (640, 640)):
        larger = replace(file, header=replace(file.header, width=width, height=height))
        with pytest.raises(BitstreamError):
            CODEC.decode(container.write(larger), 10**6)
