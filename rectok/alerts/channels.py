"""Delivery of an alert through every channel. A failure of one channel does not stop the others."""

import http.client
import json
import os
import smtplib
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from functools import partial
from typing import Any, Literal

from rectok.alerts.alert_config import AlertConfig, MailConfig
from rectok.errors import UserError

AlertKind = Literal["failed", "missed", "regression", "trial"]
ATTEMPTS, FIRST_PAUSE = 3, 1.0
"""Attempts of each channel, and the seconds between the first two. Every further pause doubles."""
MAIL_TIMEOUT, WEB_TIMEOUT = 30.0, 15.0
"""Seconds to wait for an answer."""
TEMPORARY = (408, 429)
"""Answers of an HTTP server after which a retry may help, besides 5xx."""


@dataclass(frozen=True)
class Alert:
    """An event of the nightly run of `date` (YYYY-MM-DD): a `title` in one line, the `text`, and a `link` to details."""

    kind: AlertKind
    date: str
    title: str
    text: str
    link: str = ""

    @property
    def body(self) -> str:
        """The text and the link."""
        return "\n\n".join(part for part in (self.text, self.link) if part)


def send(config: AlertConfig, alert: Alert) -> list[str]:
    """Send `alert` through all channels; their names. Raises UserError, after all were tried, naming each that failed."""
    failures = []
    for channel in channels(config):
        try:
            _retry(partial(deliver, config, alert, channel))
        except (UserError, OSError) as error:
            failures.append(f"{channel}: {error}")
    if failures:
        raise UserError(f"the alert “{alert.title}” was not delivered by {'; '.join(failures)}")
    return channels(config)


def channels(config: AlertConfig) -> list[str]:
    """The names of the channels."""
    return [name for name, setting in (("webhook", config.webhook), ("e-mail", config.mail.host)) if setting]


def deliver(config: AlertConfig, alert: Alert, channel: str) -> None:
    """Try one channel once. Raises OSError if a retry may help, and UserError if something must be fixed first."""
    if channel == "webhook":
        record = {**asdict(alert), "text": f"{alert.title}\n{alert.body}"}
        send_webhook(_secret("nightly.alert.webhook", config.webhook), record)
        return
    user, password = config.mail.user, config.mail.password
    send_mail(
        config.mail,
        alert.title,
        alert.body,
        user=_secret("nightly.alert.mail.user", user) if user else "",
        password=_secret("nightly.alert.mail.password", password) if password else "",
    )


def _secret(key: str, name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise UserError(f"{key} names the environment variable {name}, which is not set")
    return value


def _retry(attempt_once: Callable[[], None]) -> None:
    """Retry after OSError, since networks fail for a moment. UserError stays until someone fixes the cause."""
    for attempt in range(ATTEMPTS):
        try:
            attempt_once()
            break
        except OSError:
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(FIRST_PAUSE * 2**attempt)


def send_mail(config: MailConfig, subject: str, text: str, user: str, password: str) -> None:
    """Send `text` to everyone in `config.to`, after a login if there is a `user`.

    Raises OSError if a retry may help (no connection, 4xx), and UserError if the server refuses for good (5xx).
    """
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, config.sender, ", ".join(config.to)
    message["Date"], message["Message-ID"] = formatdate(localtime=False), make_msgid(domain="rectok")
    message.set_content(text)
    try:
        with _connect(config) as server:
            if user:
                server.login(user, password)
            server.send_message(message)
    except smtplib.SMTPNotSupportedError as error:
        raise UserError(f"{config.host} does not offer what nightly.alert.mail needs: {error}") from None
    except smtplib.SMTPRecipientsRefused as error:
        answers = "; ".join(f"{address}: {_answer(*answer)}" for address, answer in error.recipients.items())
        raise _refusal(max(code for code, _ in error.recipients.values()), answers) from None
    except smtplib.SMTPResponseException as error:
        raise _refusal(error.smtp_code, _answer(error.smtp_code, error.smtp_error)) from None


def _connect(config: MailConfig) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if config.security == "tls":
        return smtplib.SMTP_SSL(config.host, config.port, timeout=MAIL_TIMEOUT, context=context)
    server = smtplib.SMTP(config.host, config.port, timeout=MAIL_TIMEOUT)
    if config.security == "starttls":
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
    return server


def _answer(code: int, text: bytes | str) -> str:
    return f"{code} {text.decode(errors='replace') if isinstance(text, bytes) else text}"


def _refusal(code: int, answer: str) -> Exception:
    """5xx is permanent (RFC 5321, 4.2.1)."""
    return UserError(f"the server answered {answer}") if code >= 500 else ConnectionError(answer)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """urllib follows a redirect of a POST by a GET without the message, which then counts as delivered."""

    def redirect_request(self, *_: Any) -> None:
        """None makes urllib raise HTTPError."""


def send_webhook(url: str, record: Mapping[str, str]) -> None:
    """POST `record` as JSON to `url`, a secret that no message contains. Chat services show its field `text`.

    Raises OSError if a retry may help (no connection, 5xx), and UserError if it will not.
    """
    if not url.startswith(("https://", "http://")):
        raise UserError("its URL must begin with https:// or http://")
    body = json.dumps(record, ensure_ascii=False).encode(errors="replace")
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "rectok"}
    try:
        request = urllib.request.Request(url, body, headers, method="POST")
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=WEB_TIMEOUT):
            return
    except urllib.error.HTTPError as error:
        # The standard's words and not the server's, which may repeat the path.
        answer = f"the server answered {error.code} {http.client.responses.get(error.code, '')}".rstrip()
        if 300 <= error.code < 400:
            answer += "; its URL must be the one that takes the message, for none is sent after a redirect"
        error.close()
        if error.code >= 500 or error.code in TEMPORARY:
            raise ConnectionError(answer) from None
        raise UserError(answer) from None
    except urllib.error.URLError as error:
        raise ConnectionError(f"the server cannot be reached: {error.reason}") from None
    except (http.client.InvalidURL, ValueError):
        raise UserError("its URL is not valid") from None
    except http.client.HTTPException as error:
        raise ConnectionError(f"the server's answer is not HTTP ({type(error).__name__})") from None
