"""Where everything on disk lies, and the small JSON records beside it. No torch here: the orchestrator reads this too."""

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from rectok.errors import UserError
from rectok.files import write_text
from rectok.json_records import parse_json

if TYPE_CHECKING:
    from rectok.config import Config

DATA = Path("data")
IMPORTED = DATA / "imported"
BASELINE = DATA / "baseline"
C = TypeVar("C", bound="Config")

STAGES = (
    "index", "shards", "teacher", "features", "metric_network", "tokenizer", "decoder", "latents", "statistics", "dit",
    "autoguidance", "reconstruction", "probe", "generation", "report",
)  # fmt: skip
TRAININGS = ("tokenizer", "decoder", "dit", "autoguidance")
"""Stages that train a part of the method, in one loop."""
UNLABELLED = "unlabelled"
"""The one class of images without labels. It stands where an accuracy would."""
SHARDED = ("shards", "features", "latents")
"""Stages that run once per shard (`shards@00000`)."""


def stage_dir(stage: str) -> Path:
    """The folder of a stage's outputs."""
    return DATA / stage


def within(folder: Path, path: Path) -> Path:
    """Where the artefact `path` lies in a `folder` that is laid out as data/."""
    return folder / path.relative_to(DATA)


def _below(folder: Path, suffix: str = "") -> Callable[[str], Path]:
    return lambda name: folder / f"{name}{suffix}"


def _of_stage(name: str) -> Callable[[str], Path]:
    return lambda stage: stage_dir(stage) / name


index_file = _below(stage_dir("index"), ".parquet")
"""Table of one shard's images: see rectok.data.table_schemas.INDEX."""
shard_tar = _below(stage_dir("shards"), ".tar")
"""WebDataset tar: `<key>.png`, `<key>.cls` per image."""
shard_table = _below(stage_dir("shards"), ".parquet")
"""Offsets into the tar: see rectok.data.table_schemas.SHARD."""
quarantine_file = _below(stage_dir("shards"), ".quarantine.json")
"""Images that could not be taken, each with its reason: see rectok.data.table_schemas.QUARANTINE."""
treatments_file = _below(stage_dir("shards"), ".treatments.json")
"""How many of a shard's images had each treatment, such as "turned upright"."""
features_file = _below(stage_dir("features"), ".safetensors")
"""Teacher features of one shard."""
latents_file = _below(stage_dir("latents"), ".safetensors")
"""Posterior moments of one shard."""

weights_file = _of_stage("model.safetensors")
"""The weights that later stages use: the EMA where there is one."""
raw_file = _of_stage("raw.safetensors")
"""The weights of the last step, beside their EMA; absent where nothing was trained."""
snapshots_dir = _of_stage("snapshots")
"""Averages of two lengths at several steps, from which `rectok ema` makes others; absent where none were asked for."""
config_file = _of_stage("config.json")
"""How to build the network whose weights lie beside it."""
params_file = _of_stage("params.json")
"""The parameters a training stage really ran with (DVC records them as they were when it ended)."""
log_file = _of_stage("log.csv")
"""Training log: one CSV row per `log_every` steps."""
LOG_COUNTERS = ("step", "images", "lr")
"""Columns of a training log that are no losses."""
RATE = "images_per_second"
"""The speed of a training, wherever one is written."""
VALIDATION = "val_"
"""How the columns of its validation curve begin."""
summary_file = _of_stage("summary.json")
"""Metrics of a training stage that its gate reads."""
record_file = _of_stage("record.json")
"""Metrics of an evaluation stage: reconstruction, probe or generation."""
metrics_file = _of_stage("metrics.json")
"""The numbers among them and nothing else, as `dvc metrics` compares them."""

failures_dir = _of_stage("failures")
"""Pictures of an evaluation's worst images."""
pictures_file = _of_stage("pictures.json")
"""What the pictures of reconstruction and generation show: the classes of rows, and the failures."""


def classes_file() -> Path:
    """JSON list of label names; a label is a position in it."""
    return stage_dir("index") / "classes.json"


def labelled() -> bool:
    """Whether the images of the index have labels; else they are one class."""
    return len(read_json(classes_file(), list)) > 1


def statistics_file() -> Path:
    """What normalises the latent: mean and std of every channel."""
    return stage_dir("statistics") / "statistics.json"


imported_dir = _below(IMPORTED)
"""A network from elsewhere, as `rectok import` keeps it; not an output of the pipeline."""
state_dir = _below(DATA / "state")
"""Resumable checkpoints of a running training; not an output, removed when it has finished."""
stop_file = _below(DATA / "state" / "stops")
"""Lies there while the processes of a training on several machines are asked to stop after a checkpoint."""
newest_picture = _below(DATA / "state" / "pictures", ".png")
"""What the network of a running training makes now, drawn now and then; removed when it has finished."""
docs_dir = _below(DATA / "docs")
"""Pages for people about a gate's last run; not versioned, since Great Expectations writes times into its own."""


def quarantine_picture(key: str) -> Path:
    """A thumbnail of a file that a shard left out, where one could be decoded; for people, as `docs_dir`."""
    return docs_dir("shards") / f"{key}.png"


def class_strip(label: int) -> Path:
    """Thumbnails of a class; for people, as `docs_dir`."""
    return docs_dir("index") / "thumbnails" / f"{label}.png"


def timing_file(stage: str, shard: str | None) -> Path:
    """How long the stage's last run took on this machine; not versioned, since it differs from run to run."""
    return DATA / "timings" / f"{stage}@{shard}.json" if shard else DATA / "timings" / f"{stage}.json"


def throughput_file(stage: str) -> Path:
    """How fast the training of `stage` was, a JSON object for every row of its log; not versioned, as its timing."""
    return DATA / "timings" / f"{stage}.jsonl"


def failed_tasks_file() -> Path:
    """Tasks that failed and the last lines of their logs, a JSON object each; not versioned, as timings."""
    return DATA / "timings" / "failed.jsonl"


def runs_file() -> Path:
    """The metrics of the last runs on this machine, with which the report compares; not versioned."""
    return DATA / "runs" / "metrics.json"


def promotion_records() -> Path:
    """The folder of promotions; in git."""
    return DATA / "promoted" / "records"


def check_file(gate: str, shard: str | None = None) -> Path:
    """The gate's report."""
    return DATA / "checks" / gate / f"{shard}.json" if shard else DATA / "checks" / f"{gate}.json"


def passed_file(gate: str, shard: str | None = None) -> Path:
    """The gate's pass marker. It exists only if the gate passed, and holds the sha256 of what was judged: later stages depend
    on it, and a new threshold does not change it."""
    return DATA / "passed" / gate / shard if shard else DATA / "passed" / gate


def outputs(stage: str, shard: str | None = None) -> list[Path]:
    """The files that a stage left, or that it left for one shard."""
    files = stage_dir(stage).glob(f"{shard}.*") if shard else stage_dir(stage).rglob("*")
    return sorted(path for path in files if path.is_file() and not path.name.startswith("."))


def baseline_file() -> Path:
    """Summary of the index that a person accepted; in git, and absent until then."""
    return BASELINE / "index.json"


def missing(path: Path | str) -> str:
    """The sentence that says that an artefact is not there, and what makes it."""
    maker = "rectok import" if Path(path).is_relative_to(IMPORTED) else "dvc repro"
    return f"{path} is missing; `{maker}` makes it"


Severity = Literal["ERROR", "WARN"]
CheckValue = float | int | str | None
Relation = Literal["≥", "≤", "="]


@dataclass(frozen=True)
class Check:
    """One thing that must be true of an artefact: `value` stands in `relation` to `limit`."""

    name: str
    passed: bool
    severity: Severity
    value: CheckValue
    limit: CheckValue
    message: str
    relation: Relation = "="


@dataclass(frozen=True)
class GateReport:
    """What a gate found about the files `judged` (path → sha256). It passes when no ERROR check failed."""

    gate: str
    shard: str | None
    checks: tuple[Check, ...]
    judged: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """True when no check of severity ERROR failed."""
        return not self.errors

    @property
    def errors(self) -> tuple[Check, ...]:
        """The failed checks that stop the pipeline."""
        return tuple(c for c in self.checks if c.severity == "ERROR" and not c.passed)


def write_report(report: GateReport) -> None:
    """Write the report, and the pass marker only if it passed."""
    write_json(check_file(report.gate, report.shard), {"passed": report.passed, **asdict(report)})
    marker = passed_file(report.gate, report.shard)
    marker.unlink(missing_ok=True)
    if report.passed:
        write_text(marker, "".join(["passed\n", *(f"{sha256}  {path}\n" for path, sha256 in report.judged.items())]))


def read_marker(path: Path) -> dict[str, str]:
    """sha256 of every file that was judged, by path, from a pass marker."""
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    return {name: sha256 for sha256, _, name in (line.partition("  ") for line in lines)}


def read_report(path: Path) -> GateReport:
    """The report that `write_report` kept at `path`. One of an earlier version has no `relation`."""
    record, names = read_json(path), [each.name for each in fields(Check) if each.name != "relation"]
    try:
        checks = tuple(
            Check(**{name: check[name] for name in names}, relation=check.get("relation", "="))
            for check in record["checks"]
        )
    except (TypeError, AttributeError):
        raise UserError(f"{path} is damaged, for it is no report of a gate") from None
    return GateReport(record["gate"], record["shard"], checks, record.get("judged", {}))


def write_json(path: Path, record: Any) -> None:
    """Write sorted, indented JSON atomically; NaN and infinity are refused (ValueError)."""
    write_text(path, json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, kind: type = dict) -> Any:
    """Parse the JSON file `path`, which holds a value of `kind`. Raises UserError when it is damaged."""
    return parse_json(path.read_bytes(), str(path), kind)


def read_log(path: Path) -> list[dict[str, str]]:
    """The rows of a training log, by column; a cell may be empty."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_config(path: Path, kind: type[C]) -> C:
    """The configuration that was written to `path` as JSON. Raises UserError when it is damaged."""
    return config_of(read_json(path), kind, str(path))


def config_of(record: Any, kind: type[C], name: str) -> C:
    """The configuration in a parsed JSON `record`; `name` says in errors where it comes from."""
    from pydantic import ValidationError  # whoever has a `kind` has imported these

    from rectok.config import first_mistake

    try:
        return kind.model_validate_json(json.dumps(record))  # JSON mode: a list is a tuple there
    except ValidationError as error:
        raise UserError(f"{name} is damaged: {first_mistake(error)}") from None
