"""What comes from elsewhere: object stores with their credentials, and networks' weights."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from rectok.doctor.finding import Finding, fail, ok, warn
from rectok.params import Params
from rectok.storage.client import S3
from rectok.storage.config import WeightsFile
from rectok.storage.hashing import sha256_file
from rectok.teacher.config import TIMM, TORCH_FIDELITY, NetworkConfig

SECONDS = 5
"""How long an object store may take to answer."""
WRITTEN = ("remote", "storage.")
"""Addresses that the pipeline itself fills: nothing need be there yet."""
CHAIN = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role"


def named_files(section: BaseModel, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """(parameter, path, sha256) for every file of weights or statistics that parameters name."""
    if isinstance(section, WeightsFile) and section.path:
        yield f"{prefix}path", section.path, section.sha256
    if isinstance(section, NetworkConfig) and section.weights:
        yield f"{prefix}weights", section.weights, section.sha256
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from named_files(value, f"{prefix}{name}.")


def weights(params: Params) -> Iterator[Finding]:
    """One finding for each file that parameters name; one in all where they name none."""
    files = [*named_files(params)]
    if params.generation.reference:
        files.append(("generation.reference", params.generation.reference, ""))
    if not files:
        yield ok("weights", "none are named: what a run needs is trained here")
    for name, path, sha256 in files:
        yield _weights(name, path, sha256)


def _weights(name: str, path: str, sha256: str) -> Finding:
    title = f"weights {name}"
    if path in (TIMM, TORCH_FIDELITY, *_libraries()):
        return warn(
            title, f"{path} downloads them when they are first needed", "docs/guides/weights.md pins a file instead"
        )
    if path.startswith(S3):
        return ok(title, f"{path} is checked when it is read (see credentials)")
    if not Path(path).is_file():
        return fail(title, f"{path} does not exist", f"put the file there, or change {name}")
    if sha256 and (found := sha256_file(Path(path))) != sha256.lower():
        return fail(title, f"{path} has sha256 {found}", f"{name} asks for {sha256}: get that file, or change the hash")
    return ok(title, f"{path} is there" + (" with its sha256" if sha256 else ""))


def _libraries() -> tuple[str, ...]:
    from rectok.losses.config import PerceptualFile

    return PerceptualFile.libraries


def credentials(params: Params) -> Iterator[Finding]:
    """Whether every s3:// address of params.yaml and of DVC's remotes answers to the usual chain of credentials."""
    wanted = {"index.source": params.index.source, "generation.reference": params.generation.reference}
    wanted |= {f"storage.{name}": place for name, place in params.storage.model_dump().items()}
    wanted |= {name: path for name, path, _ in named_files(params)}
    addresses = {name: uri for name, uri in (wanted | _remotes()).items() if uri.startswith(S3)}
    if not addresses:
        yield ok("credentials", "no s3:// address is used")
        return
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        found = boto3.Session().get_credentials()
    except BotoCoreError as error:
        yield fail("credentials", _line(error), CHAIN)
        return
    if found is None:
        yield fail("credentials", f"none, but {next(iter(addresses))} is {next(iter(addresses.values()))}", CHAIN)
        return
    yield ok("credentials", f"from {found.method}")
    for name, uri in addresses.items():
        yield _answers(name, uri)


def _answers(name: str, uri: str) -> Finding:
    """Ask for one name below `uri`."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, prefix = uri.removeprefix(S3).partition("/")
    patience = Config(connect_timeout=SECONDS, read_timeout=SECONDS, retries={"total_max_attempts": 1})
    try:
        page = boto3.client("s3", config=patience).list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
    except (BotoCoreError, ClientError) as error:
        return fail(f"s3 {name}", f"{uri}: {_line(error)}", "check bucket, AWS_REGION, AWS_ENDPOINT_URL and the rights")
    if not page.get("KeyCount") and not name.startswith(WRITTEN):
        return fail(f"s3 {name}", f"{uri} holds nothing", f"put the files there, or change {name}")
    return ok(f"s3 {name}", f"{uri} answers")


def _remotes() -> dict[str, str]:
    """DVC's remotes of this project."""
    from dvc.config import Config
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        settings: Any = Config.from_cwd() if Repo.find_root() else {}
    except NotDvcRepoError:
        return {}
    return {f"remote {name}": remote.get("url", "") for name, remote in settings.get("remote", {}).items()}


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
