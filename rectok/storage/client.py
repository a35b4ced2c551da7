"""A client of the object store, with retries, and with one sentence for every failure.

boto3 finds keys, region and endpoint as usual: AWS_PROFILE, AWS_ACCESS_KEY_ID …, ~/.aws, a role, and AWS_ENDPOINT_URL or
`endpoint_url` of the profile for a store that is not Amazon's. botocore retries requests without an answer or with a 5xx
answer. This module retries answers that break off.
"""

import os
import random
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from rectok.errors import UserError
from rectok.storage.deadline import TooSlowError, extend, within

T = TypeVar("T")
S3 = "s3://"
ATTEMPTS = 5
FIRST_WAIT = 0.1
"""Mean seconds before the second attempt. Every further wait is twice as long."""
CONNECT_TIMEOUT, READ_TIMEOUT = 10.0, 30.0
"""An attempt fails after these seconds without a connection, or without a further byte."""
SLOWEST = 2**15
"""Bytes per second: an attempt fails where an answer takes longer than at this rate, READ_TIMEOUT besides. Some servers drip."""
WRITTEN = "written"
"""The action of requests whose time follows from what they send."""
CONNECTIONS = 32
REFUSED = 60.0
"""Seconds without signed addresses after one was of no use."""
SIGNED = 3600
"""Seconds for which a signed address holds; the store refuses it sooner where the credentials end sooner."""

_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired")
_DENIED = ("403", "AccessDenied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken")
_ABSENT = ("404", "NoSuchKey", "NotFound")
_CHANGED = ("412", "PreconditionFailed", "416", "InvalidRange")
_CORRUPTED = ("BadDigest", "IncompleteBody", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch")
"""The store received other bytes than were sent."""


class IncompleteAnswer(Exception):
    """An answer with fewer bytes than it announced, or than the request named."""


def address(uri: str) -> dict[str, str]:
    """Bucket and key of an s3:// URI, as arguments of a request."""
    bucket, _, key = uri.removeprefix(S3).partition("/")
    return {"Bucket": bucket, "Key": key}


def request(uri: str, action: str, call: Callable[[Any], T]) -> T:
    """call(client), retried where that may help. Raises UserError: why `uri` cannot be `action` (read, written, …).

    An attempt whose answer is not whole in time is given up, but for those that write, which send much.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    for attempt in range(1, ATTEMPTS + 1):
        try:
            return call(client()) if action == WRITTEN else _in_time(call)
        except (BotoCoreError, ClientError, Boto3Error, IncompleteAnswer) as error:
            if attempt == ATTEMPTS or not _is_temporary(error, attempt):
                raise UserError(f"{uri} cannot be {action}: {_reason(error)}") from None
            time.sleep(FIRST_WAIT * 2**attempt * random.random())
        except KeyError as error:  # botocore requires no field of an answer
            raise UserError(f"{uri} cannot be {action}: the store's answer has no {error.args[0]}") from None
        except RecursionError:
            raise UserError(
                f"{uri} cannot be {action}: the store redirects in a circle; check AWS_ENDPOINT_URL"
            ) from None
        except ValueError as error:
            raise UserError(f"{uri} cannot be {action}: the store's answer is not valid ({error})") from None
    raise AssertionError("the last attempt returns or raises")


def _in_time(call: Callable[[Any], T]) -> T:
    try:
        return within(CONNECT_TIMEOUT + READ_TIMEOUT, lambda: call(client()))
    except TooSlowError:
        raise IncompleteAnswer(f"its answer was not whole after {CONNECT_TIMEOUT + READ_TIMEOUT:.0f} s") from None


def _extend(**_event: Any) -> None:
    """Give an attempt of botocore its time."""
    extend(CONNECT_TIMEOUT + READ_TIMEOUT)


def client() -> Any:
    """The client of this process. A forked process gets its own, since connections cannot be shared."""
    return _client(os.getpid())


def forget_client() -> None:
    """Let the next request read credentials and endpoint again."""
    _client.cache_clear()
    _signed.cache_clear()
    Signed.again = 0.0


@lru_cache(maxsize=1)
def _client(process: int) -> Any:
    import boto3  # takes half a second, so only where an object store is used
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        max_pool_connections=CONNECTIONS,
    )
    made = boto3.session.Session().client("s3", config=config)
    made.meta.events.register("before-send.s3", _extend)
    return made


def get_signed(uri: str, headers: Mapping[str, str]) -> Any:
    """botocore's answer to GET at an address that was signed before, whatever its status: a tenth of the work of a call.

    Raises botocore's HTTPClientError where there is none.
    """
    from botocore.awsrequest import AWSRequest

    place = _signed(os.getpid(), uri, int(time.monotonic() / (SIGNED / 2)))
    asked = AWSRequest("GET", place, headers=dict(headers), stream_output=True).prepare()
    # A session of our own would not share proxies, certificates and connections.
    return client()._endpoint.http_session.send(asked)


class Signed:
    """Whether signed addresses are of use now. A store may refuse them always, or until credentials are read again."""

    again = 0.0
    """When (monotonic seconds) the next one may be tried."""

    @classmethod
    def refused(cls) -> None:
        """Try none for REFUSED seconds, and sign anew then."""
        cls.again = time.monotonic() + REFUSED
        _signed.cache_clear()

    @classmethod
    def usable(cls) -> bool:
        """Whether to try one."""
        return time.monotonic() >= cls.again


@lru_cache(maxsize=2**12)
def _signed(process: int, uri: str, period: int) -> str:
    return str(client().generate_presigned_url("get_object", Params=address(uri), ExpiresIn=SIGNED))


def _is_temporary(error: Exception, attempt: int) -> bool:
    from botocore.parsers import ResponseParserError

    if _code(error) in _EXPIRED and attempt == 1:  # only a new client reads credentials that were renewed
        forget_client()
        return True
    return isinstance(error, (IncompleteAnswer, ResponseParserError)) or _code(error) in _CORRUPTED


def _reason(error: Exception) -> str:
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
    """The store's code for an error, or an empty string."""
    response = getattr(error, "response", None) or {}  # None without an answer
    return str(response.get("Error", {}).get("Code", ""))
