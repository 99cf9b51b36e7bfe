"""Reads a config file with its overrides; what is wrong comes out as one line."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from fleet.codecs import codec_names
from fleet.errors import InputError

Model = TypeVar("Model", bound=BaseModel)
Made = TypeVar("Made")


def load_config(model: type[Model], path: Path, overrides: Sequence[str] = ()) -> Model:
    """The config of a YAML file, with `key=value` overrides.

    A relative path in a config is taken from the working directory, as on the command line.

    Args:
        model: what the file must hold.
        path: the YAML file.
        overrides: such as `fleet.vehicles=20`; keys are dotted, values are YAML.

    Raises:
        InputError: one line that names the file or the field and says what would be right.
    """
    try:
        values = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable ({error})") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML ({_line(error)})") from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise InputError(f"{path}: must hold keys and values, such as `seed: 0`")
    for override in overrides:
        _override(values, override)
    try:
        text = json.dumps(values)
    except TypeError as error:
        raise InputError(f"{path}: {error}; write the value in quotes") from None
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    try:
        # Through JSON: strict types, yet paths and the like may be given as text.
        return model.model_validate_json(text)
    except ValidationError as error:
        raise InputError(f"{path}: {describe(error)}") from None


def settings_from(make: Callable[[dict[str, Any]], Made], settings: Sequence[str]) -> Made:
    """What `make` makes of `key=value` settings.

    Raises:
        InputError: one line that names the setting and says what would be right.
    """
    values: dict[str, Any] = {}
    for setting in settings:
        _override(values, setting)
    try:
        return make(values)
    except ValidationError as error:
        raise InputError(describe(error)) from None


def describe(error: ValidationError) -> str:
    """A validation error in one line: the first field that is wrong, and how many more are."""
    first, *others = error.errors(include_url=False)
    # After a union's field its tag stands in the location; it is no part of the field's name.
    field = ".".join(str(part) for part in first["loc"] if part not in codec_names())
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "unknown key"
    elif first["type"] == "union_tag_not_found":
        field, message = f"{field}.name", "Field required"
    elif first["type"] == "union_tag_invalid":
        field, message = f"{field}.name", f"must be one of {first['ctx']['expected_tags']}"
    elif first["type"] != "value_error" and not isinstance(first["input"], dict | list):
        message += f", not {first['input']!r}"
    more = f" (and {len(others)} more)" if others else ""
    return f"{field}: {message}{more}" if field else f"{message}{more}"


def dump_yaml(model: BaseModel) -> str:
    """A config as YAML, all defaults written out."""
    text: str = yaml.safe_dump(model.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return text


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key or not all(key.split(".")):
        raise InputError(f"{override!r}: an override is written key=value, e.g. fleet.vehicles=20")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{override!r}: the value is not YAML ({_line(error)})") from None
    *parents, last = key.split(".")
    place = values
    for parent in parents:
        # A section that is absent or null is begun; a value that is no section is in the way.
        if place.get(parent) is None:
            place[parent] = {}
        place = place[parent]
        if not isinstance(place, dict):
            raise InputError(f"{override!r}: {parent} is not a section of the config")
    place[last] = value


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
