"""One e-mail through an SMTP server."""

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from rectok.alerts.alert_config import MailConfig
from rectok.errors import UserError

TIMEOUT = 30.0
"""Seconds until a silent server counts as away."""


def send_mail(config: MailConfig, subject: str, text: str, user: str, password: str) -> None:
    """Send `text` to everyone in `config.to`, logged in where there is a `user`.

    Raises OSError where another try may help (no connection, 4xx), and UserError where the server says no for good.
    """
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, config.sender, ", ".join(config.to)
    message["Date"], message["Message-ID"] = formatdate(localtime=False), make_msgid(domain="rectok")
    message.set_content(text)
    try:
        with _connected(config) as server:
            if user:
                server.login(user, password)
            server.send_message(message)
    except smtplib.SMTPNotSupportedError as error:
        raise UserError(f"{config.host} does not offer what nightly.alert.mail asks for: {error}") from None
    except smtplib.SMTPRecipientsRefused as error:
        answers = "; ".join(f"{address}: {_answer(*answer)}" for address, answer in error.recipients.items())
        raise _raised(max(code for code, _ in error.recipients.values()), answers) from None
    except smtplib.SMTPResponseException as error:
        raise _raised(error.smtp_code, _answer(error.smtp_code, error.smtp_error)) from None


def _connected(config: MailConfig) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if config.security == "tls":
        return smtplib.SMTP_SSL(config.host, config.port, timeout=TIMEOUT, context=context)
    server = smtplib.SMTP(config.host, config.port, timeout=TIMEOUT)
    if config.security == "starttls":
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
    return server


def _answer(code: int, words: bytes | str) -> str:
    return f"{code} {words.decode(errors='replace') if isinstance(words, bytes) else words}"


def _raised(code: int, answer: str) -> Exception:
    """5xx is for good (RFC 5321, 4.2.1)."""
    return UserError(f"the server answered {answer}") if code >= 500 else ConnectionError(answer)
