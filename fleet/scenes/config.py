"""What a set of procedural street scenes is made of."""

from pydantic import BaseModel, ConfigDict, Field


class ScenesConfig(BaseModel):
    """A set of scenes: its size, its cities and its seed. The same config gives the same set."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    width: int = Field(default=384, ge=64, le=4096, description="Width of a frame, in pixels.")
    height: int = Field(
        default=192,
        ge=32,
        le=2048,
        description="Height of a frame, in pixels; half the width suits.",
    )
    train_cities: int = Field(default=3, ge=1, le=60, description="Cities in the train split.")
    val_cities: int = Field(
        default=2, ge=0, le=60, description="Cities in the val split; none of them is a train city."
    )
    frames_per_city: int = Field(
        default=60, ge=1, le=9999, description="Frames in each city of the train split."
    )
    val_frames_per_city: int = Field(
        default=30, ge=1, le=9999, description="Frames in each city of the val split."
    )
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**32,
        description="Seed of everything that is drawn: cities and frames.",
    )
