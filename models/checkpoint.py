"""Checkpoints of a training run: model, optimiser and step in one safetensors file.

No pickle: a file that was tampered with can be wrong, not run code. A file is either whole or not
there, whenever the process is killed.
"""

import json
import os
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

_MODEL, _OPTIMISER = "model.", "optimiser."


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
    """Writes everything that the next step depends on.

    Args:
        path: file to write.
        model: not wrapped in DDP.
        optimiser: of the model's parameters.
        step: steps done.
        run: digest of what defines the run; only the same run may go on from the file.
    """
    tensors = {_MODEL + name: tensor for name, tensor in model.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        for key, value in state.items():
            tensors[f"{_OPTIMISER}{index}.{key}"] = torch.as_tensor(value)
    write_tensors(path, tensors, {"step": json.dumps(step), "run": run})


def load_checkpoint(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    """Puts model and optimiser into the state that was saved, in place.

    Returns:
        Steps done.

    Raises:
        ValueError: the file is damaged or of another network; names the file.
    """
    step = int(read_metadata(path)["step"])
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        model.load_state_dict(
            {n.removeprefix(_MODEL): t for n, t in tensors.items() if n.startswith(_MODEL)}
        )
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith(_OPTIMISER):
                index, key = name.removeprefix(_OPTIMISER).split(".")
                parameter = parameters[int(index)]
                if tensor.shape == parameter.shape:
                    # In the parameter's own memory format, so that the resumed run takes the
                    # same kernels as the one that was never stopped.
                    tensor = torch.empty_like(parameter).copy_(tensor)
                state.setdefault(int(index), {})[key] = tensor
    except Exception as error:
        raise ValueError(f"{path}: cannot be resumed ({_line(error)})") from error
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
    return step


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
