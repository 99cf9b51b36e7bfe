"""The command `bitfleet`."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from fleet.codecs import codec_names
from fleet.errors import BitstreamError, CampaignFailed, InputError
from server.folders import out_folder, store_folder
from server.metrics.options import add_metrics_options, metrics_of
from server.version import version

_FAILED = 1
_BAD_INPUT = 2
_INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with a command line in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(_BAD_INPUT, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line; gives the exit status.

    0: done; 1: something outside failed, such as a full disk; 2: bad input; 130: interrupted.
    """
    options = _parse(list(sys.argv[1:] if arguments is None else arguments))
    try:
        with _ends_as_interrupted():
            return int(options.run(options))
    except (InputError, BitstreamError) as error:
        print(f"bitfleet: {error}", file=sys.stderr)
        return _BAD_INPUT
    except CampaignFailed as error:
        print(f"bitfleet: {error}; the same command carries on from here", file=sys.stderr)
        return _FAILED
    except OSError as error:
        if error.filename is None:
            raise
        print(f"bitfleet: {error.filename}: {error.strerror}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        print("bitfleet: interrupted; the same command carries on from here", file=sys.stderr)
        return _INTERRUPTED


@contextmanager
def _ends_as_interrupted() -> Iterator[None]:
    """Asked to end (SIGTERM), a command ends as at Ctrl-C: what is done stays, and is said."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parse(arguments: list[str]) -> argparse.Namespace:
    """Parses a command line; KEY=VALUE may stand before and after options."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    names = {
        "simulate": "overrides", "study": "overrides", "sweep": "overrides",
        "train-codec": "overrides", "scenes": "settings",
    }  # fmt: skip
    name = names.get(options.command)
    if rest and (name is None or any(one.startswith("-") for one in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if name is not None:
        setattr(options, name, [*getattr(options, name), *rest])
    return options


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="bitfleet",
        description="Simulates a fleet that collects images under a bit budget, trains a segmenter "
        "on what arrives, and reports its accuracy against the cost of collecting the data.",
    )
    parser.add_argument("--version", action="version", version=f"bitfleet {version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    for name, run, what, helps, example in (
        ("simulate", _simulate, "campaign", "run one campaign", "fleet.vehicles=20"),
        ("sweep", _sweep, "sweep", "run a grid of campaigns", "seeds=[0,1,2]"),
        ("study", _study, "study", "run the paper's experiments", "qualities=[42]"),
        ("train-codec", _train_codec, "training", "train the neural codec", "training.steps=1000"),
    ):
        command = commands.add_parser(name, help=helps)
        command.add_argument("config", type=Path, metavar="CONFIG", help=f"the {what}'s YAML file")
        command.add_argument(
            "overrides", nargs="*", metavar="KEY=VALUE",
            help=f"e.g. {example}",
        )  # fmt: skip
        command.add_argument(
            "--out", type=Path, help=f"the {what}'s folder (default: $BITFLEET_RUNS, or runs, and "
            "in it the config file's name)",
        )  # fmt: skip
        if name != "train-codec":
            command.add_argument(
                "--copy-to", metavar="URI", help="copy the folder there when done, without its "
                "artifacts, e.g. s3://bucket/folder",
            )  # fmt: skip
            command.add_argument(
                "--store", type=Path, help="folder of artifacts to share with others "
                f"(default: artifacts/ in the {what}'s folder)",
            )  # fmt: skip
            add_metrics_options(command)
        command.set_defaults(run=run)

    plan = commands.add_parser("plan", help="name the operating point to choose")
    plan.add_argument(
        "where", type=Path, metavar="DIR", help="a sweep's folder, or a law's YAML file"
    )
    asked = plan.add_mutually_exclusive_group(required=True)
    asked.add_argument("--budget", type=float, help="total cost at most, in the sweep's currency")
    asked.add_argument("--accuracy", type=float, help="mIoU at least, e.g. 0.7")
    asked.add_argument("--bytes", type=float, help="of all frames together; for a law's file")
    plan.set_defaults(run=_plan)

    scenes = commands.add_parser("scenes", help="write procedural street scenes")
    scenes.add_argument("out", type=Path, metavar="OUT", help="a new or empty folder")
    scenes.add_argument(
        "settings", nargs="*", metavar="KEY=VALUE", help="e.g. width=512 height=256 seed=1"
    )
    scenes.set_defaults(run=_scenes)

    encode = commands.add_parser("encode", help="encode one image")
    encode.add_argument("input", type=Path, metavar="IN", help="an image")
    encode.add_argument("output", type=Path, metavar="OUT", help="the bitstream")
    encode.add_argument("--codec", default="bpg", help=f"one of {', '.join(codec_names())}")
    encode.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the codec"
    )
    rate = encode.add_mutually_exclusive_group(required=True)
    rate.add_argument("--quality", type=float, help="on the codec's own scale (BPG: QP 0–51)")
    rate.add_argument("--max-bytes", type=int, help="the best quality of at most so many bytes")
    encode.set_defaults(run=_encode)

    decode = commands.add_parser("decode", help="decode one bitstream")
    decode.add_argument("input", type=Path, metavar="IN", help="the bitstream")
    decode.add_argument("output", type=Path, metavar="OUT", help="the image, a PNG file")
    decode.add_argument("--codec", help="default: told by the bitstream itself")
    decode.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE",
        help="a setting of the codec, e.g. weights=FILE for msh; goes with --codec",
    )  # fmt: skip
    decode.set_defaults(run=_decode)

    report = commands.add_parser(
        "report", help="write a campaign's, a study's or a sweep's report anew"
    )
    report.add_argument("folder", type=Path, metavar="DIR", help="its folder")
    report.set_defaults(run=_report)

    dashboard = commands.add_parser("dashboard", help="many campaigns on one live page")
    dashboard.add_argument(
        "folder", type=Path, metavar="DIR", help="a sweep's or a campaign's folder, or one above"
    )
    dashboard.add_argument("--port", type=int, default=8050, help="default: 8050; 0: any free one")
    dashboard.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, this machine")
    dashboard.set_defaults(run=_dashboard)
    return parser


# What a command needs is imported when it runs: `bitfleet --help` must not wait for torch and Ray.


def _command() -> str:
    """The command line, for the provenance."""
    return shlex.join(["bitfleet", *sys.argv[1:]])


def _folders(options: argparse.Namespace) -> tuple[Path, Path]:
    """Where results and artifacts go."""
    out = out_folder(options.out, options.config)
    return out, store_folder(options.store, out)


@contextmanager
def _copied(uri: str | None, out: Path, store: Path) -> Iterator[None]:
    """Copies the folder when what makes it is done; first looks whether it can be copied there."""
    if uri is None:
        yield
        return
    from server.copying import CopyTarget

    target = CopyTarget(uri, out.resolve())
    yield
    target.copy(store.resolve())
    print(f"copied to {uri}")


def _simulate(options: argparse.Namespace) -> int:
    from server.campaign import CampaignConfig
    from server.config_file import load_config
    from server.simulate import simulate

    config = load_config(CampaignConfig, options.config, options.overrides)
    out, store = _folders(options)
    with _copied(options.copy_to, out, store), metrics_of(options) as watch:
        simulate(config, out, store, _command(), watch=watch)
    return 0


def _sweep(options: argparse.Namespace) -> int:
    from rich.console import Console

    from server.config_file import load_config
    from server.sweep.config import SweepConfig
    from server.sweep.run import run_sweep

    config = load_config(SweepConfig, options.config, options.overrides)
    out, store = _folders(options)
    with _copied(options.copy_to, out, store), metrics_of(options) as watch:
        run_sweep(config, out, store, _command(), Console(), watch)
    return 0


def _study(options: argparse.Namespace) -> int:
    from rich.console import Console

    from server.config_file import load_config
    from server.study.config import StudyConfig
    from server.study.run import run_study

    config = load_config(StudyConfig, options.config, options.overrides)
    out, store = _folders(options)
    with _copied(options.copy_to, out, store), metrics_of(options) as watch:
        run_study(config, out, store, _command(), Console(), watch)
    return 0


def _plan(options: argparse.Namespace) -> int:
    from rich.console import Console

    from server.planning.run import Asked, plan

    plan(options.where, Asked(options.budget, options.accuracy, options.bytes), Console())
    return 0


def _train_codec(options: argparse.Namespace) -> int:
    from rich.console import Console

    from server.codec_training import CodecTrainingConfig, train_codec
    from server.config_file import load_config

    config = load_config(CodecTrainingConfig, options.config, options.overrides)
    out = out_folder(options.out, options.config)
    train_codec(config, out, _command(), Console())
    return 0


def _scenes(options: argparse.Namespace) -> int:
    from fleet.scenes import ScenesConfig, write_scenes
    from server.config_file import settings_from

    config = settings_from(lambda values: ScenesConfig(**values), options.settings)
    write_scenes(config, options.out)
    print(options.out)
    return 0


def _encode(options: argparse.Namespace) -> int:
    from server.single import encode_file

    print(
        encode_file(
            options.input, options.output, options.codec, options.set, options.quality,
            options.max_bytes,
        )
    )  # fmt: skip
    return 0


def _decode(options: argparse.Namespace) -> int:
    from server.single import decode_file

    print(decode_file(options.input, options.output, options.codec, options.set))
    return 0


def _report(options: argparse.Namespace) -> int:
    from server.dashboard.report import write_sweep_report
    from server.report import write_report, write_study_report

    if not options.folder.is_dir():
        raise InputError(f"{options.folder}: no such folder")
    writers = {"study.json": write_study_report, "sweep.json": write_sweep_report}
    of = (write for name, write in writers.items() if (options.folder / name).exists())
    print(next(of, write_report)(options.folder))
    return 0


def _dashboard(options: argparse.Namespace) -> int:
    from server.dashboard.serve import serve

    serve(options.folder, options.host, options.port)
    return 0
