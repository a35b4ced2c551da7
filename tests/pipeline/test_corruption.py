"""Every artefact of a finished run × every way to damage it: the gate or the next consumer names what is damaged."""

import contextlib
import importlib
import io
import random
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from rectok import artifacts
from rectok.api import Generator, Tokenizer
from rectok.artifacts import SHARDED, STAGES, outputs
from rectok.checks.run import run as run_gate
from rectok.cli.exchange import export
from rectok.cli.images import reconstruct, sample
from rectok.cli.stage_run import stage_run
from rectok.errors import UserError
from rectok.nightly import run as nightly
from rectok.params import Params, load
from rectok.pipeline.judged import require_judged
from rectok.storage.folder import LIST
from tests.project import write_params

# Every library of the pipeline runs in this process; their warnings are not what is tested.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
SHARD = "00000"
HARMLESS = {
    **{
        (f"data/{stage}/{LIST}", "delete"): "No result depends on the list, and artefacts of older versions have none."
        for stage in STAGES
        if stage not in SHARDED
    },
    ("data/shards/00000.tar", "flip"): "It hits a tar header's time or padding, which no reader of the images uses.",
    ("data/shards/00000.treatments.json", "truncate"): "The table is empty, and only the end of its line is lost.",
    **{
        (
            f"data/{stage}/{SHARD}.safetensors",
            "delete",
        ): "The gate names it, and a consumer that opens it says that it is missing."
        for stage in ("features", "latents")
    },
}
"""Damage of an artefact (its name, the damage) that the gate or a comparison of hashes passes, and why that is right."""
Damage = Callable[[Path, random.Random], None]


def flip(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def zero(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    begin = draw.randrange(len(content))
    content[begin : begin + 512] = bytes(len(content[begin : begin + 512]))
    path.write_bytes(content)


def truncate(path: Path, draw: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: draw.randrange(1, path.stat().st_size)])


def empty(path: Path, _: random.Random) -> None:
    path.write_bytes(b"")


def delete(path: Path, _: random.Random) -> None:
    path.unlink()


def swap(path: Path, draw: random.Random) -> None:
    """Another artefact in its place, of the same kind where there is one."""
    others = [other for other in artifacts.DATA.glob(f"*/*{path.suffix}") if other.read_bytes() != path.read_bytes()]
    path.write_bytes(draw.choice(sorted(others) or [artifacts.classes_file()]).read_bytes())


def older(path: Path, _: random.Random) -> None:
    """What an earlier run with another seed or fewer images left there."""
    old = Path("older") / path.relative_to(artifacts.DATA)
    path.write_bytes(old.read_bytes())


DAMAGES: tuple[Damage, ...] = (flip, zero, truncate, empty, delete, swap, older)


def run_pipeline(params: Params) -> None:
    for stage in STAGES:
        run = importlib.import_module(f"rectok.stages.{stage}").run
        for shard in params.index.shards if stage in SHARDED else [None]:
            with stage_run(stage, shard) as current:
                run(current, *([shard] if shard else []))
            run_gate(stage, params, shard)


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Params]:
    """A finished run, beside the outputs of an older one."""
    folder = tmp_path_factory.mktemp("corruption")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.chdir(folder)
        run_pipeline(write_params(folder, {"seed": 7, "index.limit": 140, "index.shards": [SHARD]}))
        shutil.move("data", "older")
        params = write_params(folder, {"index.shards": [SHARD]})
        run_pipeline(params)
        yield params


def cells() -> Iterator[tuple[str, Path, Damage]]:
    """Those that change the file: (stage, file, damage)."""
    for stage in STAGES:
        for path in outputs(stage):
            for damage in DAMAGES:
                if damage is not older or (Path("older") / path.relative_to(artifacts.DATA)).exists():
                    yield stage, path, damage


def message_of(call: Callable[[], object]) -> str:
    """The sentence with which `call` refuses what lies there; empty where it takes it."""
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            call()
        except UserError as error:
            return str(error)
    return ""


def missed(params: Params) -> Iterator[tuple[str, str, str]]:
    """Cells that changed a file and that a gate or consumer took without a word about it: (file, damage, who)."""
    count = 0
    for stage, path, damage in list(cells()):
        shard = SHARD if stage in SHARDED else None
        whole, marker = path.read_bytes(), artifacts.passed_file(stage, shard)
        passed = marker.read_bytes()
        damage(path, random.Random(f"{path} {damage.__name__}"))
        if not path.exists() or path.read_bytes() != whole:
            count += 1
            name = path.as_posix()
            if name not in message_of(partial(require_judged, [artifacts.stage_dir(stage)])):
                yield name, damage.__name__, "consumer"
            sentence = message_of(partial(run_gate, stage, params, shard))
            if (
                name not in sentence and f"/{stage}/{shard}." not in sentence
            ):  # a gate of a shard names at least the shard
                yield name, damage.__name__, f"gate: {sentence}"
        path.write_bytes(whole)
        marker.write_bytes(passed)
    assert count > 400
    print(f"{count} cells")


def test_every_damage_is_named(params: Params) -> None:
    misses = list(missed(params))
    for each in misses:
        print(*each)
    assert {(name, damage) for name, damage, _ in misses} <= HARMLESS.keys()


CONSUMERS: dict[str, tuple[Callable[[], object], tuple[str, ...]]] = {
    "Tokenizer.load": (Tokenizer.load, ("decoder/model.safetensors",)),
    "Generator.load": (Generator.load, ("dit/config.json", "decoder/model.safetensors", "statistics/statistics.json")),
    "rectok sample": (partial(sample, label=1, out=Path("sample.png")), ("dit/model.safetensors",)),
    "rectok reconstruct": (partial(reconstruct, [Path("a.png")], out=Path("out")), ("decoder/config.json",)),
    "rectok export": (partial(export, Path("dit.pth"), "dit"), ("dit/model.safetensors",)),
    "rectok nightly": (
        lambda: nightly.run(load(), "2026-01-01"),
        ("dit/model.safetensors", "metric_network/model.safetensors", "shards/00000.tar"),
    ),
}
"""What reads data/ outside of the stages, and files that it reads."""


@pytest.mark.parametrize("consumer", CONSUMERS)
@pytest.mark.parametrize("judged", [True, False])
@pytest.mark.usefixtures("params")
def test_those_who_read_artefacts_outside_of_stages_refuse_damaged_ones(consumer: str, judged: bool) -> None:
    call, names = CONSUMERS[consumer]
    for path in (artifacts.DATA / name for name in names):
        stage = path.parent.name
        if stage in SHARDED and not judged:  # a shard has no list of its maker
            continue
        whole, marker = path.read_bytes(), artifacts.passed_file(stage, SHARD if stage in SHARDED else None)
        passed = marker.read_bytes()
        flip(path, random.Random(1))
        if not judged:
            marker.unlink()
        voucher = f"gate {stage} passed" if judged else f"data/{stage}/{LIST} lists"
        assert message_of(call).startswith(f"{path} is not the file that {voucher}; `rectok verify` says whether")
        path.write_bytes(whole)
        marker.write_bytes(passed)
