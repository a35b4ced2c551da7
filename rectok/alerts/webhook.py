"""One HTTP POST of JSON. Chat services show its field `text`."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping

from rectok.errors import UserError

TIMEOUT = 15.0
"""Seconds to wait for an answer."""
TEMPORARY = (408, 429)


def send_webhook(url: str, record: Mapping[str, str]) -> None:
    """POST `record` as JSON to `url`.

    Raises OSError if a retry may help (no connection, 5xx), and UserError if it will not. The URL is a secret, so no
    message contains it.
    """
    if not url.startswith(("https://", "http://")):
        raise UserError("its URL must begin with https:// or http://")
    body = json.dumps(record, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "rectok"}
    request = urllib.request.Request(url, body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT):
            return
    except urllib.error.HTTPError as error:
        answer = f"the server answered {error.code} {error.reason}"
        error.close()
        if error.code >= 500 or error.code in TEMPORARY:
            raise ConnectionError(answer) from None
        raise UserError(answer) from None
    except urllib.error.URLError as error:
        raise ConnectionError(f"the server cannot be reached: {error.reason}") from None
    except (http.client.InvalidURL, UnicodeError):
        raise UserError("its URL is not valid") from None
    except http.client.HTTPException as error:
        raise ConnectionError(f"the server's answer is not HTTP ({type(error).__name__})") from None
