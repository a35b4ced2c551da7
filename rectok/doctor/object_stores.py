"""Addresses in object stores: whether credentials are there, and whether each answers to what a run will ask of it."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from rectok.doctor.diagnosis import Diagnosis, fail, ok, warn
from rectok.params import Params
from rectok.params.files import inputs
from rectok.storage import below
from rectok.storage.client import S3, address

SECONDS = 5
"""How long an object store may take to answer."""
CHAIN = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role"
REMEDY = "check bucket, AWS_REGION, AWS_ENDPOINT_URL and the rights"
STORAGE = "storage."
WRITTEN = ("remote", STORAGE)
"""Addresses that the pipeline itself fills: nothing need be there yet."""


def credentials(params: Params) -> Iterator[Diagnosis]:
    """Whether every s3:// address of params.yaml and of DVC's remotes answers to the usual chain of credentials."""
    addresses = _addresses(params)
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
        yield _asked(name, uri)


def _addresses(params: Params) -> dict[str, str]:
    places = {f"{STORAGE}{name}": place for name, place in params.storage.model_dump().items()}
    return {name: uri for name, uri in (inputs(params) | places | _remotes()).items() if uri.startswith(S3)}


def _asked(name: str, uri: str) -> Diagnosis:
    """Ask of `uri` what a run will."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    patience = Config(connect_timeout=SECONDS, read_timeout=SECONDS, retries={"total_max_attempts": 1})
    try:
        client = boto3.client("s3", config=patience)
        if name == "index.labels":
            return _read(client, name, uri)
        listed = _listed(client, name, uri)
        return _written(client, name, uri) if listed.status == "OK" and name.startswith(STORAGE) else listed
    except (BotoCoreError, ClientError) as error:
        return fail(f"s3 {name}", f"{uri}: {_line(error)}", REMEDY)


def _listed(client: Any, name: str, uri: str) -> Diagnosis:
    """Ask for one name below `uri`."""
    where = address(uri)
    page = client.list_objects_v2(Bucket=where["Bucket"], Prefix=where["Key"], MaxKeys=1)
    if not page.get("KeyCount") and not name.startswith(WRITTEN):
        return fail(f"s3 {name}", f"{uri} holds nothing", f"put the files there, or change {name}")
    return ok(f"s3 {name}", f"{uri} answers")


def _read(client: Any, name: str, uri: str) -> Diagnosis:
    """Begin to read an object."""
    client.get_object(**address(uri))["Body"].close()
    return ok(f"s3 {name}", f"{uri} can be read")


def _written(client: Any, name: str, uri: str) -> Diagnosis:
    """Write a small object as the pipeline does, look at it, and remove it whatever happens."""
    from botocore.exceptions import BotoCoreError, ClientError

    probe = below(uri, f".doctor.{uuid4().hex}")
    failure = ""
    try:
        client.put_object(**address(probe), Body=b"rectok doctor", ChecksumAlgorithm="SHA256")
        client.head_object(**address(probe))
    except (BotoCoreError, ClientError) as error:
        failure = f"{uri} cannot be written: {_line(error)}"
    finally:
        left = _left(client, probe)
    if failure or left:
        remedy = f"give the key the rights to put, get and delete objects there, or change {name}"
        if name == f"{STORAGE}shards":  # those that are there can be trained from all the same
            return warn(f"s3 {name}", failure or left, f"{remedy}; to train from what is there, reading is enough")
        return fail(f"s3 {name}", failure or left, remedy)
    return ok(f"s3 {name}", f"{uri} answers and can be written")


def _left(client: Any, probe: str) -> str:
    """Remove an object; why that failed, empty where it did not."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client.delete_object(**address(probe))
    except (BotoCoreError, ClientError) as error:
        return f"{probe} was written, but cannot be removed: {_line(error)}"
    return ""


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
