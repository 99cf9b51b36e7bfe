"""Checkpoints of a training run: modules, optimisers and step in one safetensors file.

No pickle: a file that was tampered with can be wrong, not run code. A file is either whole or not
there, whenever the process is killed.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

_MODEL, _OPTIMISER = "model", "optimiser"


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    """Writes a safetensors file in one go: temporary file, fsync, rename.

    Args:
        path: to be created or replaced; its folder exists.
        tensors: on any device; written in row-major order.
        metadata: text kept in the file's header.
    """
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file(flat, temporary, metadata)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_metadata(path: Path) -> dict[str, str]:
    """The header's text.

    Raises:
        ValueError: not a safetensors file; names it.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except Exception as error:
        raise ValueError(f"{path}: not a safetensors file ({_line(error)})") from error


def load_weights(model: nn.Module, path: Path) -> None:
    """Puts the weights that a training left into a model of the same config, in place.

    Raises:
        ValueError: not such a file, or weights of another network; one line that names the file.
    """
    read_metadata(path)
    try:
        model.load_state_dict(load_file(path))
    except Exception as error:
        raise ValueError(f"{path}: not this network's weights ({_line(error)})") from error


def save_checkpoint(
    path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, step: int, run: str
) -> None:
    """Writes everything that the next step of one model depends on.

    Args:
        path: file to write.
        model: not wrapped in DDP.
        optimiser: of the model's parameters.
        step: steps done.
        run: digest of what defines the run; only the same run may go on from the file.
    """
    save_state(path, {_MODEL: model}, {_OPTIMISER: optimiser}, step, run)


def load_checkpoint(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    """Puts model and optimiser into the state that was saved, in place.

    Returns:
        Steps done.

    Raises:
        ValueError: the file is damaged or of another network; names the file.
    """
    return load_state(path, {_MODEL: model}, {_OPTIMISER: optimiser})


def save_state(
    path: Path,
    modules: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
    step: int,
    run: str,
) -> None:
    """Writes everything that the next step of several modules depends on.

    Args:
        path: file to write.
        modules: by name, not wrapped in DDP.
        optimisers: by name; no name is a module's, and none holds a dot.
        step: steps done.
        run: digest of what defines the run; only the same run may go on from the file.
    """
    tensors = {
        f"{name}.{key}": tensor
        for name, module in modules.items()
        for key, tensor in module.state_dict().items()
    }
    for name, optimiser in optimisers.items():
        for index, state in optimiser.state_dict()["state"].items():
            for key, value in state.items():
                tensors[f"{name}.{index}.{key}"] = torch.as_tensor(value)
    write_tensors(path, tensors, {"step": json.dumps(step), "run": run})


def load_state(
    path: Path,
    modules: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
) -> int:
    """Puts modules and optimisers into the state that was saved, in place.

    Returns:
        Steps done.

    Raises:
        ValueError: the file is damaged or of other networks; names the file.
    """
    step = int(read_metadata(path)["step"])
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        for name, module in modules.items():
            module.load_state_dict(_under(name, tensors))
        states = {name: _state(o, _under(name, tensors)) for name, o in optimisers.items()}
    except Exception as error:
        raise ValueError(f"{path}: cannot be resumed ({_line(error)})") from error
    for name, optimiser in optimisers.items():
        optimiser.load_state_dict({**optimiser.state_dict(), "state": states[name]})
    return step


def run_digest(what: object, *modules: nn.Module) -> str:
    """What makes two runs the same: whatever JSON can hold, and the modules' initial weights."""
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode())
    for module in modules:
        for name, tensor in module.state_dict().items():
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _under(name: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of one module or optimiser, by their names within it."""
    prefix = f"{name}."
    return {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}


def _state(
    optimiser: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]
) -> dict[int, dict[str, torch.Tensor]]:
    """What an optimiser remembers of each parameter."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".")
        parameter = parameters[int(index)]
        if tensor.shape == parameter.shape:
            # In the parameter's own memory format, so that the resumed run takes the same kernels
            # as the one that was never stopped.
            tensor = torch.empty_like(parameter).copy_(tensor)
        state.setdefault(int(index), {})[key] = tensor
    return state


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
