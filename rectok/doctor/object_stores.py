"""Credentials, and requests to each object store as a run will send them."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

from rectok.doctor.diagnosis import Diagnosis, fail, ok, warn
from rectok.params import Params
from rectok.params.files import inputs
from rectok.storage.client import S3, address
from rectok.storage.objects import below

SECONDS = 5
"""Time limit for an answer of an object store."""
CHAIN = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role"
REMEDY = "check bucket, AWS_REGION, AWS_ENDPOINT_URL and the permissions"
STORAGE = "storage."
OUTPUTS = ("remote", STORAGE)
"""Addresses that the pipeline fills itself, so they may be empty."""


def credentials(params: Params) -> Iterator[Diagnosis]:
    """Find credentials as boto3 does, and try every s3:// address of params.yaml and of DVC's remotes."""
    outputs = {f"{STORAGE}{name}": uri for name, uri in params.storage.model_dump().items()}
    named = inputs(params) | outputs | _remotes()
    addresses = {name: uri for name, uri in named.items() if uri.startswith(S3)}
    if not addresses:
        yield ok("credentials", "no s3:// address is used")
        return
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        keys = boto3.Session().get_credentials()
    except BotoCoreError as error:
        yield fail("credentials", _line(error), CHAIN)
        return
    if keys is None:
        name, uri = next(iter(addresses.items()))
        yield fail("credentials", f"none, but {name} is {uri}", CHAIN)
        return
    yield ok("credentials", f"from {keys.method}")
    for name, uri in addresses.items():
        yield _check_address(name, uri)


def _check_address(name: str, uri: str) -> Diagnosis:
    """Send the requests that a run will send to `uri`."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    timeouts = Config(connect_timeout=SECONDS, read_timeout=SECONDS, retries={"total_max_attempts": 1})
    try:
        client = boto3.client("s3", config=timeouts)
        if name == "index.labels":
            client.get_object(**address(uri))["Body"].close()
            return ok(f"s3 {name}", f"{uri} can be read")
        listing = _try_list(client, name, uri)
        return _try_write(client, name, uri) if listing.status == "OK" and name.startswith(STORAGE) else listing
    except (BotoCoreError, ClientError) as error:
        return fail(f"s3 {name}", f"{uri}: {_line(error)}", REMEDY)


def _try_list(client: Any, name: str, uri: str) -> Diagnosis:
    """List one name below `uri`."""
    where = address(uri)
    page = client.list_objects_v2(Bucket=where["Bucket"], Prefix=where["Key"], MaxKeys=1)
    if not page.get("KeyCount") and not name.startswith(OUTPUTS):
        return fail(f"s3 {name}", f"{uri} holds nothing", f"put the files there, or change {name}")
    return ok(f"s3 {name}", f"{uri} answers")


def _try_write(client: Any, name: str, uri: str) -> Diagnosis:
    """Write a small object as the pipeline does, read its head, and remove it in any case."""
    where = address(below(uri, f".doctor.{uuid4().hex}"))
    failure = _failure(lambda: client.put_object(**where, Body=b"rectok doctor", ChecksumAlgorithm="SHA256"))
    failure = failure or _failure(lambda: client.head_object(**where))
    leftover = _failure(lambda: client.delete_object(**where))
    if not failure and not leftover:
        return ok(f"s3 {name}", f"{uri} answers and can be written")
    left = f"s3://{where['Bucket']}/{where['Key']} was written, but cannot be removed: {leftover}"
    detail = f"{uri} cannot be written: {failure}" if failure else left
    remedy = f"allow the key to put, get and delete objects there, or change {name}"
    if name == f"{STORAGE}shards":  # training needs to read them only
        return warn(f"s3 {name}", detail, f"{remedy}; training from existing shards needs only read access")
    return fail(f"s3 {name}", detail, remedy)


def _failure(call: Callable[[], object]) -> str:
    """Why a request fails, or an empty string."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        call()
    except (BotoCoreError, ClientError) as error:
        return _line(error)
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
