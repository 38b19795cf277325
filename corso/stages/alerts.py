"""Alerts: the sentence that a person needs when nobody was watching, and the ways by which it reaches one.

Store, batch, what happened, what to do: counts and ids, never a customer's data, never a secret. Where to is told by the
environment alone, as a webhook's URL and a mail server's are secrets:

CORSO_ALERT_WEBHOOK  https URL that takes a POST of {"text", "store", "batch", "happened", "to_do"}
CORSO_ALERT_MAIL     smtp://user:password@host:587 (STARTTLS where the server offers it) or smtps://…:465
CORSO_ALERT_FROM, CORSO_ALERT_TO   addresses, the second one several, parted by commas
"""

import smtplib
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from corso.api.webhook import post_to_webhook
from corso.errors import (
    CorsoError,
    ExportError,
    LeaseLost,
    LedgerTooNew,
    NotAuthorised,
    Outage,
    SettingsError,
    Stopped,
)
from corso.machine_errors import is_the_machines, sentence_of
from corso.scrubbing import scrubbed

_TIMEOUT_S = 15.0
_LINES = 50
MOST_AT_ONCE = 3
"""More alerts at a time than so many are told as one: a night in which everything is late is one piece of news."""

_REMEDIES: tuple[tuple[type[BaseException], str], ...] = (
    (SettingsError, "Mend what it names; then load the batch again."),
    (ExportError, "Have the files delivered again, or mend loader.yaml; a new delivery is loaded by itself."),
    (NotAuthorised, "Check CORSO_CLIENT_ID and CORSO_CLIENT_SECRET with Corso; then load the batch again."),
    (Outage, "It is tried again every hour and goes on where it was; ask Corso where it lasts."),
    (
        Stopped,
        "Look at the batch's report; then correct the files (a new delivery is loaded by itself), or load it again.",
    ),
    (LedgerTooNew, "Install the newer version of corso-loader that wrote the ledger."),
    (LeaseLost, "See to it that one loader works on this ledger; then load the batch again."),
    (CorsoError, "Read the run's log; then load the batch again: it goes on where it was."),
    (MemoryError, "Then load the batch again."),
    (OSError, "Mend this (a full disk, a folder that may not be written to); then load the batch again."),
)


@dataclass(frozen=True)
class Alert:
    """What a person has to be told."""

    store: str
    batch: str
    """Empty where it is about the store."""
    happened: str
    to_do: str
    link: str = ""
    """Where to look, if there is a place."""
    is_of_many: bool = False
    """Whether `store` tells of how many alerts this is one."""

    @property
    def subject(self) -> str:
        """The first line."""
        batch = f", batch {self.batch}" if self.batch else ""
        return f"corso-loader: {self.store if self.is_of_many else f'store {self.store}'}{batch}"

    @property
    def text(self) -> str:
        """All of it, in a few lines."""
        return "\n".join(part for part in (f"{self.subject}: {self.happened}", self.to_do, self.link) if part)

    @property
    def body(self) -> dict[str, str]:
        """What the webhook gets."""
        told = {"store": self.store, "batch": self.batch, "happened": self.happened, "to_do": self.to_do}
        return {"text": self.text, **told, "link": self.link}


def told_together(alerts: Sequence[Alert]) -> list[Alert]:
    """Return the alerts, or where these are many one that has the first lines of all."""
    if len(alerts) <= MOST_AT_ONCE:
        return list(alerts)
    lines = [f"{alert.subject.removeprefix('corso-loader: ')}: {alert.happened}" for alert in alerts]
    return [
        Alert(
            f"{len(alerts)} alerts",
            "",
            "\n".join(lines[:_LINES]),
            "See last_nights_load_ran on the asset landing.",
            is_of_many=True,
        )
    ]


def alert_of_error(store: str, batch: str, error: BaseException, link: str = "") -> Alert:
    """Return what to tell of an error that ended a run. What we did not raise on purpose is told by its class alone."""
    remedy = next((remedy for kind, remedy in _REMEDIES if isinstance(error, kind)), None)
    if remedy is None:
        happened = f"the run ended with an error that nobody expected ({type(error).__name__})."
        return Alert(store, batch, happened, "Read the run's log, and report it.", link)
    said = (sentence_of(error) if is_the_machines(error) else str(error)).rstrip(".")
    return Alert(store, batch, f"{scrubbed(said)}.", remedy, link)


@dataclass(frozen=True)
class _MailServer:
    host: str
    port: int
    is_tls: bool
    user: str
    password: str

    @classmethod
    def parse(cls, url: str) -> "_MailServer":
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
            message = (
                "CORSO_ALERT_MAIL must be smtp://user:password@host:587 or smtps://user:password@host:465"
            )
            raise SettingsError(message)
        is_tls = parts.scheme == "smtps"
        default = 465 if is_tls else 587
        return cls(
            parts.hostname,
            port or default,
            is_tls,
            unquote(parts.username or ""),
            unquote(parts.password or ""),
        )


@dataclass(frozen=True)
class AlertWays:
    """By which ways alerts go; none, where the environment names none."""

    webhook: str = ""
    mail: str = ""
    sender: str = ""
    recipients: tuple[str, ...] = ()

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "AlertWays":
        """Read the variables that the module's docstring names."""
        recipients = tuple(
            address.strip() for address in environment.get("CORSO_ALERT_TO", "").split(",") if address.strip()
        )
        return cls(
            environment.get("CORSO_ALERT_WEBHOOK", ""),
            environment.get("CORSO_ALERT_MAIL", ""),
            environment.get("CORSO_ALERT_FROM", ""),
            recipients,
        )

    def __repr__(self) -> str:
        return f"AlertWays(webhook={bool(self.webhook)}, mail={bool(self.mail)})"

    @property
    def count(self) -> int:
        """How many ways there are."""
        return bool(self.webhook) + bool(self.mail)

    def send(
        self, alert: Alert, *, post: Callable[[str, dict[str, str]], str | None] = post_to_webhook
    ) -> list[str]:
        """Send by every way; return why some did not work, a sentence each without secrets."""
        why: list[str] = []
        if self.webhook:
            try:
                failed = post(self.webhook, alert.body)
            except SettingsError as error:
                failed = str(error)
            why += [failed] if failed else []
        if self.mail:
            try:
                self._send_mail(alert)
            except SettingsError as error:
                why.append(str(error))
            except (OSError, smtplib.SMTPException) as error:
                why.append(f"the mail server did not take the alert ({type(error).__name__})")
        return why

    def _send_mail(self, alert: Alert) -> None:
        server = _MailServer.parse(self.mail)
        if not self.sender or not self.recipients:
            message = "CORSO_ALERT_FROM and CORSO_ALERT_TO are needed beside CORSO_ALERT_MAIL"
            raise SettingsError(message)
        mail = EmailMessage()
        # A folder's name may hold a line break, and a header field none.
        mail["Subject"] = " ".join(alert.subject.split())
        mail["From"], mail["To"] = self.sender, ", ".join(self.recipients)
        mail.set_content(alert.text)
        with _connected(server) as connection:
            if server.user:
                connection.login(server.user, server.password)
            connection.send_message(mail)


def _connected(server: _MailServer) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if server.is_tls:
        return smtplib.SMTP_SSL(server.host, server.port, timeout=_TIMEOUT_S, context=context)
    connection = smtplib.SMTP(server.host, server.port, timeout=_TIMEOUT_S)
    connection.ehlo()
    if connection.has_extn("starttls"):
        connection.starttls(context=context)
        connection.ehlo()
    elif server.user:
        connection.close()
        message = "CORSO_ALERT_MAIL: the server offers no encryption, so the password is not sent to it"
        raise SettingsError(message)
    return connection
