"""A client of the object store, what is tried again and how, and every failure in words.

boto3 finds keys, region and endpoint in its usual places: AWS_PROFILE, AWS_ACCESS_KEY_ID …, ~/.aws, a role; AWS_ENDPOINT_URL
or `endpoint_url` of the profile for a store that is not Amazon's. botocore itself tries requests again that get no answer
or a 5xx one; here, answers that break off are.
"""

import os
import random
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

from rectok.errors import UserError

T = TypeVar("T")
S3 = "s3://"
ATTEMPTS = 5
FIRST_WAIT = 0.1
"""Seconds before the second attempt, on average; twice as many before every further one."""
CONNECT_TIMEOUT, READ_TIMEOUT = 10.0, 30.0
"""Seconds without a connection, or without a further byte, after which an attempt has failed."""
CONNECTIONS = 32

_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired")
_DENIED = ("403", "AccessDenied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken")
_ABSENT = ("404", "NoSuchKey", "NotFound")
_CHANGED = ("412", "PreconditionFailed", "416", "InvalidRange")
_SPOILT = ("BadDigest", "IncompleteBody", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch")
"""What was sent did not arrive as it was sent."""


class CutShort(Exception):
    """An answer that holds less than it announced, or none of what was asked for."""


def address(uri: str) -> dict[str, str]:
    """Bucket and key of an s3:// URI, as arguments of a request."""
    bucket, _, key = uri.removeprefix(S3).partition("/")
    return {"Bucket": bucket, "Key": key}


def attempted(uri: str, done: str, call: Callable[[Any], T]) -> T:
    """call(client), again where an answer broke off or credentials may have been renewed.

    Raises UserError saying why `uri` cannot be `done` (read, written, listed).
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    for attempt in range(1, ATTEMPTS + 1):
        try:
            return call(client())
        except (BotoCoreError, ClientError, Boto3Error, CutShort) as error:
            if attempt == ATTEMPTS or not _may_pass(error, attempt):
                raise UserError(f"{uri} cannot be {done}: {_words(error)}") from None
            time.sleep(FIRST_WAIT * 2**attempt * random.random())
    raise AssertionError("the last attempt returns or raises")


def client() -> Any:
    """This process's client: connections are not shared with a parent that forked it."""
    return _client(os.getpid())


def forget_client() -> None:
    """The next client looks for credentials and endpoint anew."""
    _client.cache_clear()


@lru_cache(maxsize=1)
def _client(process: int) -> Any:
    import boto3  # half a second, which only those who use an object store pay
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        max_pool_connections=CONNECTIONS,
    )
    return boto3.session.Session().client("s3", config=config)


def _may_pass(error: Exception, attempt: int) -> bool:
    from botocore.parsers import ResponseParserError

    if _code(error) in _EXPIRED and attempt == 1:  # somebody may have renewed them; only a new client looks
        forget_client()
        return True
    return isinstance(error, (CutShort, ResponseParserError)) or _code(error) in _SPOILT


def _words(error: Exception) -> str:
    from botocore.exceptions import EndpointConnectionError, NoCredentialsError

    code = _code(error)
    if code in _EXPIRED:
        return "the credentials have expired; renew them and run the command again"
    if code in _DENIED:
        return f"access is denied ({code}); check the credentials and the bucket's policy"
    if code in _ABSENT:
        return "there is no such object"
    if code in _CHANGED:
        return "it changed while it was read; run the command again when it is complete"
    if isinstance(error, NoCredentialsError):
        return "no credentials were found; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if isinstance(error, EndpointConnectionError):
        return f"no server answers at {error.kwargs['endpoint_url']}; check AWS_ENDPOINT_URL and the network"
    return " ".join(str(error).split())


def _code(error: Exception) -> str:
    """The store's code for an error, empty where it gave none."""
    response = getattr(error, "response", None) or {}  # None where no answer came
    return str(response.get("Error", {}).get("Code", ""))
