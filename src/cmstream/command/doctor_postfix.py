"""What ``cmstream doctor`` reads in Postfix's configuration: settings that change mail before it is
sealed, lose it, or let it pass without being sealed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .findings import GROWTH, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..gateway.settings import Settings

_PLACES = "/usr/sbin:/usr/local/sbin:/sbin"
_TRANSPORTS = (
    "virtual_transport", "mailbox_transport", "relay_transport", "local_transport",
    "default_transport",
)  # fmt: skip
ENOUGH = 100
"""So many errors a client must be allowed, where each recipient who is put off is one."""


class Configuration:
    """Of one Postfix: main.cf, and the options of services in master.cf. Raises OSError,
    ValueError where it can't be read."""

    def __init__(self, program: str, folder: str | None = None) -> None:
        self._command = [program, *(["-c", folder] if folder else [])]
        self._main = dict(self._rows("-x"))
        self._options = dict(self._rows("-xP"))
        self.services: dict[str, str] = {}
        for line in self._lines("-M"):
            columns = line.split()
            if len(columns) > 7:  # noqa: PLR2004 - master(5): the eighth is the program
                self.services["/".join(columns[:2])] = columns[7]

    @property
    def longest(self) -> int | None:
        """``message_size_limit``, in bytes."""
        size = self.value("message_size_limit")
        return int(size) if size.isdecimal() else None

    def value(self, name: str, service: str = "") -> str:
        """A setting as a service has it."""
        return self._options.get(f"{service}/{name}", self._main.get(name, ""))

    def of(self, program: str) -> list[str]:
        """The services that run one of Postfix's programs."""
        return [name for name, runs in self.services.items() if runs == program]

    def _rows(self, *words: str) -> Iterator[tuple[str, str]]:
        for line in self._lines(*words):
            name, mark, value = line.partition(" =")
            if mark:
                yield name, value.strip()

    def _lines(self, *words: str) -> list[str]:
        done = subprocess.run(
            [*self._command, *words], capture_output=True, check=False, timeout=60
        )
        if done.returncode:
            raise ValueError(done.stderr.decode(errors="replace").strip().rpartition("\n")[2])
        return done.stdout.decode(errors="replace").splitlines()


def read(folder: str | None) -> Configuration | Finding | None:
    """That of the Postfix here, or of ``folder``; None where no Postfix is installed; or why it
    can't be read."""
    program = shutil.which("postconf") or shutil.which("postconf", path=_PLACES)
    if program is None:
        text = "there is no postconf: is Postfix installed?"
        return Finding("postfix", "wrong", text) if folder else None
    try:
        return Configuration(program, folder)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return Finding("postfix", "wrong", f"its configuration can't be read: {error}")


def look(found: Configuration, settings: Settings, delimiters: str | None) -> Iterator[Finding]:
    """What is wrong with it. ``delimiters``: those of the store."""
    ways = [*_clients(found, settings), *_proxies(found, settings), *_milters(found)]
    yield from ways
    if not ways:
        text = "nothing hands mail to a gateway: no lmtp: transport, filter or milter is set"
        yield Finding("postfix", "warning", text, "cmstream gateway … --print postfix says how")
    if delimiters is not None:
        yield _delimiter(found, delimiters)
    yield _size(found, settings)
    if _comes_back(found, settings):
        yield _bounces(found)
        yield from _growth(found)
        if _sees_clients(found):
            yield from _added_later(found)


def _set(name: str, value: object, service: str = "") -> str:
    """The command that sets it."""
    if service:
        return f"postconf -P '{service}/{name}={value}'"
    return f"postconf -e '{name} = {value}'"


# --- LMTP and filters after the queue --------------------------------------------------------


class Client(NamedTuple):
    """A service that hands mail over, by LMTP or by SMTP to a filter. ``filters``: as a
    content_filter, so that the mail comes back."""

    service: str
    program: str
    place: str
    filters: bool


PLACE = re.compile(r"(?:inet:)?(?:\[([^\]]+)\]|([^\[\]:{}\s]+)):(\w+)")


def same(place: str, folder: str) -> str:
    """A place in the one way in which it is the same however it was written. ``folder``: Postfix's
    queue, from which paths go out."""
    if named := PLACE.fullmatch(place):
        host = (named[1] or named[2]).lower()
        return f"{'127.0.0.1' if host == 'localhost' else host}:{named[3]}"
    kind, _, path = place.partition(":")
    return os.path.realpath(Path(folder, path)) if kind == "unix" else place


def clients(found: Configuration) -> Iterator[Client]:
    """Each with each place to which it hands mail over."""
    filters = {found.value("content_filter", one) for one in ("", *found.services)}
    for text in sorted(filters | {found.value(name) for name in _TRANSPORTS}):
        name, _, place = text.partition(":")
        service = f"{name}/unix"
        program = found.services.get(service, "")
        if program == "lmtp" or (program == "smtp" and text in filters):
            yield Client(service, program, place, text in filters)


def _clients(found: Configuration, settings: Settings) -> Iterator[Finding]:
    hop = settings.next_hop
    # Where the gateway stands before the queue, what delivers from the queue has sealed mail.
    delivers = hop.lmtp if hop else not _stands_before(found)
    handing = {one[:2] for one in clients(found) if delivers or one.filters}
    for service, program in sorted(handing):
        yield _lines(found, service, program)
        yield _patience(found, settings, service, f"{program}_data_done_timeout")


def _lines(found: Configuration, service: str, program: str) -> Finding:
    name = f"{program}_line_length_limit"
    limit = found.value(name, service)
    if limit == "0":
        return Finding("postfix", "ok", f"{service} leaves lines of any length as they are")
    text = f"{service} breaks lines of more than {limit} bytes before they are sealed"
    own = "" if service == f"{program}/unix" and program == "lmtp" else service
    return Finding("postfix", "wrong", text, _set(name, 0, own))


def _patience(found: Configuration, settings: Settings, service: str, name: str) -> Finding:
    """Whether Postfix waits longer than the gateway waits for the next hop."""
    waits, least = _seconds(found.value(name, service)), round(settings.next_timeout)
    if waits > least:
        return Finding("postfix", "ok", f"{service} waits {waits} s for the reply to a message")
    text = (
        f"{service} waits {waits} s for the reply to a message, and the gateway {least} s for the "
        "next hop: mail may be delivered twice"
    )
    return Finding("postfix", "wrong", text, _set(name, f"{least + 300}s"))


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def _seconds(text: str) -> int:
    found = re.fullmatch(r"(\d+)([smhdw]?)", text)
    return int(found[1]) * _UNITS[found[2] or "s"] if found else 0


# --- before the queue ------------------------------------------------------------------------


def _stands_before(found: Configuration) -> bool:
    """Whether something sees mail before it is in the queue."""
    return _sees_clients(found) or bool(found.value("non_smtpd_milters"))


def _sees_clients(found: Configuration) -> bool:
    """Whether something sees mail of clients before it is in the queue, not bounces alone."""
    names = "smtpd_proxy_filter", "smtpd_milters"
    return any(found.value(name, one) for name in names for one in found.of("smtpd"))


_LOOPBACK = re.compile(r"(127\.|localhost:|\[::1\])")
_COPIES = "always_bcc", "sender_bcc_maps", "recipient_bcc_maps"


def _added_later(found: Configuration) -> Iterator[Finding]:
    """Recipients that Postfix finds once the gateway has seen the mail."""
    if "no_address_mappings" in found.value("receive_override_options"):
        return
    cleanups = _cleanups(found)
    if any(found.value("virtual_alias_maps", one) for one in cleanups):
        text = (
            "virtual_alias_maps is applied after a proxy filter or milter has seen the address: "
            "mail for an alias that the store doesn't know is left as it is"
        )
        remedy = "give the accounts these aliases: cmstream account set ADDRESS --aliases LIST"
        yield Finding("postfix", "warning", text, remedy)
    for name in _COPIES:
        if not any(found.value(name, one) for one in cleanups):
            continue
        text = (
            f"{name} adds recipients after a proxy filter or milter has seen the mail: their "
            "copies are sealed to the others, or not at all"
        )
        remedy = "at the mailboxes (--listen lmtp:…) the gateway seals each copy for its recipient"
        yield Finding("postfix", "warning", text, remedy)


def _proxies(found: Configuration, settings: Settings) -> Iterator[Finding]:
    for service in found.of("smtpd"):
        if not found.value("smtpd_proxy_filter", service):
            continue
        yield _patience(found, settings, service, "smtpd_proxy_timeout")
        yield from _refusals(found, service)
        if "speed_adjust" in found.value("smtpd_proxy_options", service):
            text = f"{service} writes mail to a file before the gateway gets it (speed_adjust)"
            yield Finding("postfix", "wrong", text, _set("smtpd_proxy_options", ""))
    if any(found.value("smtpd_proxy_filter", one) for one in found.of("smtpd")):
        yield _submitted(found)
        yield from _unfiltered(found)


def _unfiltered(found: Configuration) -> Iterator[Finding]:
    """Services that clients elsewhere reach, beside those with a proxy filter."""
    names = "smtpd_proxy_filter", "content_filter", "smtpd_milters"
    for service in found.of("smtpd"):
        if _LOOPBACK.match(service) or any(found.value(name, service) for name in names):
            continue
        text = f"mail that comes to {service} passes no filter, and isn't sealed"
        yield Finding("postfix", "warning", text, f"postconf -PX '{service}/smtpd_proxy_filter'")


def _refusals(found: Configuration, service: str) -> Iterator[Finding]:
    """What becomes of recipients who are put off, since they need another copy."""
    name = "smtpd_hard_error_limit"
    limit = found.value(name, service)
    if limit.isdecimal() and int(limit) >= ENOUGH:
        yield Finding("postfix", "ok", f"{service} lets a client go on after {limit} errors")
    else:
        text = (
            f"{service} ends a session after {limit} errors, and each recipient who is put off is "
            "one"
        )
        yield Finding("postfix", "wrong", text, _set(name, 1000))
    name = "smtpd_discard_ehlo_keywords"
    if "chunking" not in found.value(name, service).lower():
        text = f"{service} announces CHUNKING: Exim tries recipients who are put off much later"
        yield Finding("postfix", "warning", text, _set(name, "chunking"))


def _submitted(found: Configuration) -> Finding:
    for service in found.of("pickup"):
        passes_none = "no_milters" in found.value("receive_override_options", service)
        if found.value("non_smtpd_milters") and not passes_none:
            return Finding("postfix", "ok", "mail from sendmail(1) passes a milter")
        if not found.value("content_filter", service):
            text = "mail from sendmail(1) passes no smtpd, and isn't sealed"
            remedy = "give pickup a content_filter: cmstream gateway … --print postfix says how"
            return Finding("postfix", "warning", text, remedy)
    return Finding("postfix", "ok", "mail from sendmail(1) has a filter of its own")


# --- bounces ---------------------------------------------------------------------------------


def _filters(found: Configuration) -> bool:
    """Whether what comes by SMTP passes a filter, before the queue or after it."""
    names = "content_filter", "smtpd_proxy_filter"
    return any(found.value(name, one) for name in names for one in ("", *found.of("smtpd")))


def sees_all(found: Configuration) -> bool:
    """Whether a filter or a milter stands in the way of mail for all domains."""
    return _filters(found) or bool(_listed(found))


def _comes_back(found: Configuration, settings: Settings) -> bool:
    """Whether the gateway stands before mail that Postfix has still to deliver."""
    hop = settings.next_hop
    at_mailboxes = hop and hop.lmtp and not all(one.filters for one in clients(found))
    return not at_mailboxes and sees_all(found)


def _bounces(found: Configuration) -> Finding:
    """Those that Postfix writes hold the mail that comes back. Where the gateway stands at the
    mailboxes they pass it as all mail does."""
    told = "bounce" in re.split(r"[,\s]+", found.value("internal_mail_filter_classes"))
    if told and found.value("non_smtpd_milters"):
        return Finding("postfix", "ok", "bounces that Postfix writes pass a milter")
    if _filters(found):
        passes, remedy = "smtpd and no filter", "give the gateway a --listen milter:PLACE too, and "
        remedy += "do what cmstream gateway … --print postfix says then"
    else:
        remedy = f"if it is the gateway: {_set('internal_mail_filter_classes', 'bounce')}"
        passes = "milter"
    text = f"bounces that Postfix writes hold the mail that comes back, and pass no {passes}"
    return Finding("postfix", "warning", text, remedy)


# --- milters ---------------------------------------------------------------------------------

MILTER = re.compile(r"\{[^}]*\}|[^,\s]+")
_ACTION = re.compile(r"default_action\s*=\s*(\w+)")


def _listed(found: Configuration) -> list[str]:
    lists = {found.value("smtpd_milters", one) for one in found.of("smtpd")}
    lists.add(found.value("non_smtpd_milters"))
    return sorted({one for text in lists for one in MILTER.findall(text)})


def _milters(found: Configuration) -> Iterator[Finding]:
    milters = _listed(found)
    usual = found.value("milter_default_action")
    for one in milters:
        own = _ACTION.search(one)
        action = own[1] if own else usual
        if action == "tempfail":
            yield Finding("postfix", "ok", f"while the milter {one} is away, mail waits")
        else:
            text = f"while the milter {one} is away, Postfix does this with mail: {action}"
            remedy = f"if it is the gateway: {_set('milter_default_action', 'tempfail')}"
            yield Finding("postfix", "wrong" if action == "accept" else "warning", text, remedy)
    yield from _one_sided(found)


def _one_sided(found: Configuration) -> Iterator[Finding]:
    inner = set(MILTER.findall(found.value("non_smtpd_milters")))
    outer = set(MILTER.findall(found.value("smtpd_milters")))
    for name, missing, mail in (
        ("non_smtpd_milters", outer - inner, "mail from sendmail(1)"),
        ("smtpd_milters", set() if _filters(found) else inner - outer, "mail that comes by SMTP"),
    ):
        for one in sorted(missing):
            text = f"{mail} doesn't pass the milter {one}"
            remedy = f"if it is the gateway, add it to {name}"
            yield Finding("postfix", "warning", text, remedy)


# --- what the store and the gateway must agree to --------------------------------------------


def _delimiter(found: Configuration, delimiters: str) -> Finding:
    theirs = found.value("recipient_delimiter")
    said = f"recipient_delimiter is {theirs!r}, and the store's is {delimiters!r}"
    if unknown := set(theirs) - set(delimiters):
        text = f"{said}: mail to an address with {''.join(sorted(unknown))!r} is left as it is"
        together = "".join(dict.fromkeys(delimiters + theirs))
        remedy = f"cmstream account server --recipient-delimiter={together}"
        return Finding("postfix", "wrong", text, remedy)
    return Finding("postfix", "ok", said)


def _size(found: Configuration, settings: Settings) -> Finding:
    limit, ours = found.longest, settings.size_limit
    if limit and limit <= ours:
        return Finding("postfix", "ok", f"message_size_limit is {limit}, the gateway's is {ours}")
    said = (
        f"Postfix takes messages of {limit or 'any number of'} bytes, the gateway of {ours}: "
        "longer ones bounce"
    )
    remedy = f"{_set('message_size_limit', ours)}, or start the gateway with a larger --size-limit"
    return Finding("postfix", "warning", said, remedy)


def _cleanups(found: Configuration) -> list[str]:
    """The services through which mail of clients comes into the queue."""
    used = {f"{found.value('cleanup_service_name', one)}/unix" for one in found.of("smtpd")}
    return sorted(used & {*found.services})


def _growth(found: Configuration) -> Iterator[Finding]:
    """Whether a message may become longer than the longest that Postfix takes."""
    name, longest = "message_size_limit", found.longest
    told = {one: found.value(name, one) for one in _cleanups(found)}
    limits = {one: int(limit) for one, limit in told.items() if limit.isdecimal()}
    if not limits or not longest:
        return
    if any(not limit or limit >= longest * GROWTH for limit in limits.values()):
        yield Finding("postfix", "ok", "a sealed message may be longer than message_size_limit")
        return
    service, limit = next(iter(limits.items()))
    text = (
        f"{service} refuses messages of more than {limit} bytes once they are sealed: mail of more "
        f"than {round(limit / GROWTH)} bytes bounces"
    )
    yield Finding("postfix", "wrong", text, _set(name, 0, service))
