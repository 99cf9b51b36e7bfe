"""The BPG codec; see :mod:`fleet.codecs.bpg.codec`."""

from fleet.codecs.bpg.codec import BpgCodec, BpgConfig

__all__ = ["BpgCodec", "BpgConfig"]
