"""One HTTP POST of JSON. Its field `text` is what chat services show."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping

from rectok.errors import UserError

TIMEOUT = 15.0
"""Seconds until a silent server counts as away."""
TRY_AGAIN = (408, 429)


def send_webhook(url: str, record: Mapping[str, str]) -> None:
    """POST `record` as JSON to `url`.

    Raises OSError where another try may help (no connection, 5xx), and UserError where it will not. The URL is a secret,
    and no message holds it.
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
        if error.code >= 500 or error.code in TRY_AGAIN:
            raise ConnectionError(answer) from None
        raise UserError(answer) from None
    except urllib.error.URLError as error:
        raise ConnectionError(f"the server cannot be reached: {error.reason}") from None
    except (http.client.InvalidURL, UnicodeError):
        raise UserError("its URL is not valid") from None
    except http.client.HTTPException as error:
        raise ConnectionError(f"the server's answer is no HTTP ({type(error).__name__})") from None
