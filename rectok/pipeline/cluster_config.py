"""Parameters of the clusters that `machine.executor` may name. Stages read no more of them than this file."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from rectok.config import Config

OURS = ("--job-name", "--array", "--output", "--wrap", "--parsable", "--open-mode", "--requeue", "--no-requeue")
"""Options of sbatch by which jobs are found, divided, logged and queued again."""
OUR_LETTERS = ("-J", "-a", "-o")
"""Short forms of those."""
QUANTITY = re.compile(r"\d+(\.\d+)?([numkMGTPE]|[KMGTPE]i|[eE]\d+)?")
NAME = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$"


class SlurmConfig(Config):
    """How `rectok repro` queues stages. `cpu` and `gpu` are options of `sbatch` for stages without and with an accelerator.

    The shards of a stage are one array of at most `tasks` tasks, each of which runs a block of them. What failed is queued again
    `retries` times.
    """

    cpu: tuple[str, ...]
    gpu: tuple[str, ...]
    tasks: int = Field(gt=0, le=1000, description="tasks of one array at most; SLURM's own limit is MaxArraySize")
    retries: int = Field(ge=0, le=100)

    @model_validator(mode="after")
    def _leaves_our_options(self) -> Self:
        for name, options in (("cpu", self.cpu), ("gpu", self.gpu)):
            for option in options:
                if not option.startswith("-") or option.startswith(OUR_LETTERS) or option.partition("=")[0] in OURS:
                    raise ValueError(
                        f"{name} holds {option!r}; it must hold options of sbatch such as --partition=gpu, and none of "
                        f"{', '.join(OURS)}"
                    )
        return self


def _quantity(value: str) -> str:
    if not QUANTITY.fullmatch(value):
        raise ValueError('a quantity of Kubernetes, such as "4", 500m or 16Gi')
    return value


def _absolute(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("an absolute path")
    return value


Quantity = Annotated[str, AfterValidator(_quantity)]


class PodConfig(Config):
    """What a pod asks of its node. `resources` are requests and limits; `tolerations` are keys of taints that it may ignore."""

    resources: dict[str, Quantity]
    node_selector: dict[str, str]
    tolerations: tuple[str, ...]

    def __hash__(self) -> int:
        """Networks are kept by the machine on which they are loaded, and a dictionary has no hash."""
        return hash(self.model_dump_json())


class KubernetesConfig(Config):
    """How `rectok repro` runs stages as Jobs; `cpu` and `gpu` are for stages without and with an accelerator.

    The project lies below `mount`, where pods mount the volume of `claim`. The keys of the secret `environment`, if any, become
    variables. The shards of a stage are one Job of at most `tasks` indexes, each of which runs a block of them and is run again
    `retries` times where it fails. A pod that is to end has `grace` seconds, in which a training writes its checkpoint.
    """

    image: str
    namespace: str = Field(pattern=NAME)
    claim: str = Field(pattern=NAME)
    mount: Annotated[str, AfterValidator(_absolute)]
    environment: str = Field(pattern=NAME)
    cpu: PodConfig
    gpu: PodConfig
    tasks: int = Field(gt=0, le=1000)
    retries: int = Field(ge=0, le=100)
    grace: int = Field(gt=0, le=86_400, description="seconds between SIGTERM and SIGKILL")
