"""One frame of a drive through a city."""

from math import radians

import numpy as np
import numpy.typing as npt

from fleet.scenes.boxes import paint_box
from fleet.scenes.camera import Camera
from fleet.scenes.canvas import Canvas
from fleet.scenes.cars import paint_car
from fleet.scenes.cycles import paint_cycle
from fleet.scenes.facades import paint_building
from fleet.scenes.furniture import paint_lamp, paint_sign, paint_signal, paint_small
from fleet.scenes.ground import KERB, paint_ground
from fleet.scenes.layout import draw_street
from fleet.scenes.optics import add_haze, expose, paint_bonnet
from fleet.scenes.people import paint_person, paint_rider
from fleet.scenes.plants import paint_garden, paint_skyline, paint_tree
from fleet.scenes.sky import paint_sky
from fleet.scenes.street import FRAMES_PER_DRIVE, SECONDS, STEP, Lot, Street, Thing
from fleet.scenes.style import CityStyle
from fleet.scenes.walls import paint_fence, paint_wall

_SIGHT = 115.0  # beyond that, in metres, only lots and the skyline are painted
_BRAKES = 6.0  # nothing is nearer than that in front of the camera: its car has let it pass
_LEAST = 7.0  # things of fewer pixels in height are left out
_THIN = 70.0  # beyond that things less than a metre wide are left out


def _paint_thing(canvas: Canvas, city: CityStyle, street: Street, thing: Thing, s: float) -> None:
    match thing.kind:
        case "car":
            paint_car(canvas, city, thing, s)
        case "truck" | "bus" | "tram":
            paint_box(canvas, city, thing, s)
        case "person":
            paint_person(canvas, city, street, thing, s)
        case "cyclist" | "motorcyclist":
            paint_rider(canvas, city, street, thing, s)
        case "bicycle" | "motorcycle":
            paint_cycle(canvas, thing, s, KERB if abs(thing.x) > street.kerb else 0.0)
        case "tree":
            paint_tree(canvas, city, thing, s)
        case "lamp":
            paint_lamp(canvas, city, thing, s)
        case "sign":
            paint_sign(canvas, city, thing, s)
        case "signal":
            paint_signal(canvas, city, thing, s)
        case _:
            paint_small(canvas, city, street, thing, s)


def _paint_lot(canvas: Canvas, city: CityStyle, street: Street, lot: Lot) -> None:
    if lot.kind == "building":
        paint_building(canvas, city, lot)
    elif lot.kind != "crossing":
        if lot.kind == "wall":
            paint_wall(canvas, city, lot)
        elif lot.kind == "fence":
            paint_fence(canvas, city, lot)
        paint_garden(canvas, city, street, lot)


# Room that a thing may fill: half its width, its length and its height, in metres.
_ROOM = {
    "car": (1.0, 5.1, 2.3), "truck": (1.3, 8.8, 3.6), "bus": (1.35, 11.6, 3.2),
    "tram": (1.3, 24.1, 3.5), "person": (0.8, 0.1, 2.2), "tree": (4.5, 2.0, 10.5),
    "lamp": (1.7, 0.1, 8.6), "sign": (0.7, 0.1, 4.6), "signal": (4.8, 0.1, 5.7),
    "cyclist": (1.1, 1.0, 2.0), "motorcyclist": (1.1, 1.0, 2.0),
    "bicycle": (1.1, 2.0, 1.5), "motorcycle": (1.1, 2.0, 1.5),
    "bollard": (0.3, 0.1, 1.2), "bin": (0.3, 0.1, 1.1),
}  # fmt: skip


def _room(thing: Thing) -> tuple[float, float, float]:
    half, length, height = _ROOM[thing.kind]
    return (
        (0.5 * length, length, height) if thing.way == 0 and length > 3 else (half, length, height)
    )


def render_scene(
    city: CityStyle, frame: int, width: int, height: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Frame number `frame` (from 0) of a city: image uint8 [height, width, 3] and label ids uint8.

    Ten frames in a row are one drive along one street, 8 m and 0.8 s apart. The label map is
    [height, width]; every pixel has the label of what was painted on it.
    """
    drive, place = divmod(frame, FRAMES_PER_DRIVE)
    street = draw_street(city, drive)
    rng = np.random.default_rng((*city.seed, frame, 4))
    camera = Camera(
        width, height,
        x=street.camera_x + float(rng.normal(0, 0.12)), y=1.35, s=place * STEP,
        yaw=radians(float(rng.normal(-1.5, 2.0))), pitch=radians(float(rng.normal(-0.3, 0.4))),
    )  # fmt: skip
    canvas = Canvas(camera, city.light)
    paint_ground(canvas, city, street)
    seconds = place * SECONDS
    todo: list[tuple[float, Thing | Lot, float]] = []
    for lot in street.lots:
        if lot.s1 > camera.s + 0.5:
            todo.append((lot.s0, lot, 0.0))
    for thing in street.things:
        s = thing.at(seconds)
        sight = _SIGHT if thing.kind not in ("person", "bicycle", "bollard", "bin") else _THIN
        if -_room(thing)[1] < s - camera.s < sight:
            todo.append((s, thing, s))
    # Near things first: what they hide need not be painted.
    for _, item, s in sorted(todo, key=lambda entry: entry[0]):
        if isinstance(item, Lot):
            _paint_lot(canvas, city, street, item)
            continue
        half, length, tall = _room(item)
        in_the_way = abs(item.x - camera.x) < half + 0.9 and s - camera.s < _BRAKES
        if in_the_way or tall * camera.focal < _LEAST * (s - camera.s):
            continue
        if canvas.sees(item.x, half, s - 0.2, s + length, tall):
            _paint_thing(canvas, city, street, item, s)
    paint_skyline(canvas, city, street, end=260.0)
    add_haze(canvas, city)
    paint_sky(canvas, city, drift=drive)
    paint_bonnet(canvas, city)
    return expose(canvas, city, rng), canvas.label.reshape(height, width)
