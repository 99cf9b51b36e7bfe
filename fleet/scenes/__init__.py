"""Procedural street scenes in the layout of Cityscapes: frames with exact labels and no data set."""

from fleet.scenes.config import ScenesConfig
from fleet.scenes.render import render_scene
from fleet.scenes.style import CityStyle, draw_city
from fleet.scenes.write import city_name, write_scenes

__all__ = ["CityStyle", "ScenesConfig", "city_name", "draw_city", "render_scene", "write_scenes"]
