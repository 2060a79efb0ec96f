"""Prints accounts and imports: as text for people, as JSON for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..accounts.account_settings import CIPHERS, SETTINGS
from ..accounts.people.credentials import now
from ..errors import CmstreamError
from .show import signature_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..accounts.account import Account, ImportReport, StoredCertificate
    from ..accounts.setting import Setting


def account_line(one: Account) -> str:
    """Address, cipher, trouble, certificates, expiry, with tabs between."""
    held = f"{one.active} active"
    held += f", {one.retired} retired" if one.retired else ""
    until = f"until {one.expires_at:%Y-%m-%d}" if one.expires_at else "-"
    trouble = _trouble(one) or "-"
    return "\t".join([one.address, one.cipher or "off", trouble, held, until])


def _trouble(one: Account) -> str:
    """What keeps mail from being sealed as it should be; "" if nothing does."""
    if one.expires_at is None:
        waits = one.when_unusable == "error"
        means = "mail waits" if waits else "mail is stored unencrypted"
        return f"no certificate: {means}" if one.cipher else ""
    return "expired" if one.expires_at <= now() else ""


def switched_off(one: Account) -> str:
    """That nothing is sealed yet, and what changes that."""
    choose = f"cmstream account set {one.address} --cipher {CIPHERS[0]}"
    return f"nothing is sealed for {one.address} until a cipher is chosen: {choose}"


def account_text(
    one: Account,
    held: Sequence[StoredCertificate],
    owners: Sequence[str],
    switches: Mapping[str, str],
) -> str:
    """A block for the account, and one for each certificate. ``switches``: the server's, which are
    told where they override a setting."""
    rows = [("account", one.address), ("owners", ", ".join(owners) or "none")]
    rows += [_setting_row(known, getattr(one, name), switches) for name, known in SETTINGS.items()]
    return "\n\n".join(map(_block, [rows, *map(_certificate_rows, held)]))


def _setting_row(one: Setting, value: Any, switches: Mapping[str, str]) -> tuple[str, str]:
    """A setting by its option's name and as the option takes it."""
    text = ", ".join(one.texts(value)) or one.say(value)
    if one.name == "cipher" and switches.get("encryption") == "off":
        text += " (but encryption is switched off for the whole server)"
    if override := switches.get(one.name):
        text += f" (but the server's switch says {override}, for all)"
    return one.name.replace("_", "-"), text


def _certificate_rows(held: StoredCertificate) -> list[tuple[str, str]]:
    rows = [
        ("SHA-256", held.fingerprint),
        ("state", held.state + (", but not used beside another" if held.set_aside else "")),
        ("description", held.description or "none"),
        ("added", f"{held.added_at:%Y-%m-%d %H:%M} by {held.added_by}"),
    ]
    try:
        found = held.recipient
    except CmstreamError as error:
        return [*rows, ("problem", f"{error} [{error.code}]")]
    rows += [
        ("subject", found.subject or "(empty)"),
        ("e-mails", ", ".join(found.emails) or "none"),
        ("valid", f"{found.not_before:%Y-%m-%d} to {found.not_after:%Y-%m-%d}"),
        ("key", found.key),
    ]
    return rows + [("problem", f"{problem} [{problem.code}]") for problem in found.problems()]


def _block(rows: Sequence[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows) + 2
    return "\n".join(f"{name + ':':<{width}}{value}" for name, value in rows)


def account_object(
    one: Account,
    held: Sequence[StoredCertificate] | None = None,
    owners: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The account as a JSON object, with its certificates and owners if they are given."""
    found: dict[str, Any] = {
        "address": one.address,
        "protected": one.protected,
        **{name: getattr(one, name) for name in SETTINGS},
        "created_at": one.created_at,
        "active": one.active,
        "retired": one.retired,
        "expires_at": one.expires_at,
    }
    if held is not None:
        found["certificates"] = [_certificate_object(certificate) for certificate in held]
    if owners is not None:
        found["owners"] = list(owners)
    return found


def _certificate_object(held: StoredCertificate) -> dict[str, Any]:
    found: dict[str, Any] = {
        "sha256": held.fingerprint,
        "state": held.state,
        "set_aside": held.set_aside,
        "description": held.description,
        "not_after": held.not_after,
        "added_at": held.added_at,
        "added_by": held.added_by,
    }
    try:
        recipient = held.recipient
    except CmstreamError as error:
        return found | {"problems": [{"code": error.code, "message": str(error)}]}
    return found | {
        "subject": recipient.subject,
        "emails": list(recipient.emails),
        "key": recipient.key,
        "problems": _problems(recipient.problems()),
    }


def _problems(problems: Sequence[Any]) -> list[dict[str, str]]:
    return [{"code": problem.code, "message": str(problem)} for problem in problems]


def report_lines(name: str, report: ImportReport) -> list[str]:
    """What importing a file did, or would do."""
    done = "imported" if report.saved else "can be imported"
    lines = []
    for one in report.certificates:
        found = one.recipient
        what = f"{done}{f' (was {one.known})' if one.known else ''}"
        lines.append(
            f"{report.account}\t{name}\t{what}\t{found.key}\tuntil {found.not_after:%Y-%m-%d}"
            f"\t{found.fingerprint}"
        )
    return lines


def report_remarks(report: ImportReport) -> list[str]:
    """What people should know about an import."""
    remarks = [
        f"{str(problem).rstrip('.')} [{problem.code}]"
        for one in report.certificates
        for problem in _without_reasons(one.problems)
    ]
    remarks += [str(finding) for finding in report.findings]
    remarks += [
        f"set aside {aside.subject or aside.fingerprint[:16] + '…'}: {aside.reason}"
        for aside in report.set_aside
    ]
    done = "retired" if report.saved else "would be retired:"
    remarks += [f"{done} {fingerprint}" for fingerprint in report.retired]
    if report.signature:
        remarks.append(str(report.signature))
    if report.private_key_ignored:
        remarks.append("the private key in it was ignored; only the certificate is needed")
    return remarks


def _without_reasons(problems: Sequence[Any]) -> list[Any]:
    """Without the problem for which a certificate is set aside: ``set-aside`` begins with it."""
    said = next((str(one) for one in problems if one.code == "set-aside"), "")
    return [
        one
        for one in problems
        if one.code == "set-aside" or not said.startswith(str(one).rstrip("."))
    ]


def report_object(name: str, report: ImportReport) -> dict[str, Any]:
    """An import as a JSON object."""
    return {
        "account": report.account,
        "file": name,
        "saved": report.saved,
        "certificates": [
            {
                "sha256": one.recipient.fingerprint,
                "subject": one.recipient.subject,
                "emails": list(one.recipient.emails),
                "key": one.recipient.key,
                "not_after": one.recipient.not_after,
                "was": one.known,
                "problems": _problems(one.problems),
            }
            for one in report.certificates
        ],
        "set_aside": [
            {"subject": aside.subject, "sha256": aside.fingerprint, "reason": aside.reason}
            for aside in report.set_aside
        ],
        "findings": [str(finding) for finding in report.findings],
        "retired": list(report.retired),
        "private_key_ignored": report.private_key_ignored,
        "signature": report.signature and signature_object(report.signature),
    }
