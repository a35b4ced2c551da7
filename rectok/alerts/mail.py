"""One e-mail through an SMTP server."""

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from rectok.alerts.alert_config import MailConfig
from rectok.errors import UserError

TIMEOUT = 30.0
"""Seconds to wait for an answer."""


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
        return smtplib.SMTP_SSL(config.host, config.port, timeout=TIMEOUT, context=context)
    server = smtplib.SMTP(config.host, config.port, timeout=TIMEOUT)
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
