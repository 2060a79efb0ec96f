"""What a certificate file holds and what a sealed message says about itself, as text or JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..certificates.mail_signature import SignatureCheck
    from ..certificates.recipient import CertificateFile, Recipient
    from ..inspection import Addressee, Inspection


def as_text(files: Sequence[tuple[str, CertificateFile]]) -> str:
    """A block of lines for each certificate, then what was set aside and ignored; with several
    files each under its name."""
    if len(files) == 1:
        return _file_text(files[0][1])
    return "\n\n".join(f"{name}:\n\n{_file_text(file)}" for name, file in files)


def _file_text(file: CertificateFile) -> str:
    blocks = [_lines(recipient) for recipient in file.recipients]
    blocks += [
        f"set aside:    {aside.subject or '(unreadable)'}\n  reason:     {aside.reason}\n"
        f"  SHA-256:    {aside.fingerprint}"
        for aside in file.set_aside
    ]
    if file.private_key_ignored:
        blocks.append("A private key in the file was ignored: only the certificate is needed.")
    if file.signature:
        blocks.append(str(file.signature))
    return "\n\n".join(blocks)


def _lines(recipient: Recipient) -> str:
    rows = [
        ("subject", recipient.subject or "(empty)"),
        ("issuer", recipient.issuer or "(empty)"),
        ("serial", f"{recipient.serial:x}"),
        ("e-mails", ", ".join(recipient.emails) or "none"),
        ("valid", f"{recipient.not_before:%Y-%m-%d %H:%M} to {recipient.not_after:%Y-%m-%d %H:%M}"),
        ("key", recipient.key),
        ("SHA-256", recipient.fingerprint),
    ]
    if recipient.capabilities is not None:
        rows.append(("reads", ", ".join(recipient.capabilities) or "nothing that cmstream knows"))
    rows += [("problem", f"{problem} [{problem.code}]") for problem in recipient.problems()]
    return _block(rows)


def as_json(files: Sequence[tuple[str, CertificateFile]]) -> str:
    """One object: ``recipients``, ``set_aside``, ``signatures`` of mails, ``warnings``, of all
    files together; the first three say by ``file`` where they come from."""
    ignored = any(file.private_key_ignored for _, file in files)
    document = {
        "recipients": [
            _object(recipient) | {"file": name}
            for name, file in files
            for recipient in file.recipients
        ],
        "set_aside": [
            {"subject": a.subject, "sha256": a.fingerprint, "reason": a.reason, "file": name}
            for name, file in files
            for a in file.set_aside
        ],
        "signatures": [
            {**signature_object(found.signature), "file": name}
            for name, found in files
            if found.signature
        ],
        "warnings": ["private-key-ignored"] if ignored else [],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def signature_object(check: SignatureCheck) -> dict[str, Any]:
    """What the signature of a mail proves."""
    return {"verified": check.verified, "text": str(check)}


def _object(recipient: Recipient) -> dict[str, Any]:
    return {
        "subject": recipient.subject,
        "issuer": recipient.issuer,
        "serial": _decimal(recipient.serial),
        "serial_hex": f"{recipient.serial:x}",
        "emails": list(recipient.emails),
        "not_before": recipient.not_before.isoformat(),
        "not_after": recipient.not_after.isoformat(),
        "key": recipient.key,
        "capabilities": recipient.capabilities,
        "sha256": recipient.fingerprint,
        "problems": [{"code": p.code, "text": str(p)} for p in recipient.problems()],
    }


# Sealed messages


def inspection_text(found: Inspection) -> str:
    """A block of lines for the message, then one for each whom it is for."""
    rows = [
        ("form", found.form),
        ("type", f"{found.content_type}, version {found.version}, {found.encoding}"),
        ("cipher", found.cipher),
        ("content", f"{_content(found)}, of type {found.inner_type}"),
        ("recipients", str(len(found.addressees))),
    ]
    if found.unsealed_parts:
        count = found.unsealed_parts
        parts = "1 other part" if count == 1 else f"{count} other parts"
        rows.append(("not sealed", f"{parts} of the mail"))
    return "\n\n".join([_block(rows), *map(_addressee_lines, found.addressees)])


def _content(found: Inspection) -> str:
    if found.content_octets is None:
        return "not in the message"
    return f"{found.content_octets} bytes encrypted"


def _block(rows: list[tuple[str, str]]) -> str:
    return "\n".join(f"{name + ':':<13} {value}" for name, value in rows)


def _addressee_lines(one: Addressee) -> str:
    rows = [("recipient", f"{one.kind}, {one.algorithm}")]
    if one.issuer is not None:
        rows += [("issuer", one.issuer or "(empty)"), ("serial", f"{one.serial:x}")]
    if one.key_identifier is not None:
        rows.append(("identifier", one.key_identifier.hex()))
    if one.key_octets:
        rows.append(("key", f"{one.key_octets} bytes encrypted"))
    if one.recipient is not None:
        rows.append(("certificate", one.recipient.subject or one.recipient.fingerprint))
    return _block(rows)


def inspection_json(found: Inspection) -> str:
    """One object; ``recipients`` has one for each whom it is for."""
    document = found._asdict() | {"recipients": [_addressee(one) for one in found.addressees]}
    del document["addressees"]
    return json.dumps(document, indent=2, ensure_ascii=False)


def _addressee(one: Addressee) -> dict[str, Any]:
    recipient = one.recipient
    return {
        "kind": one.kind,
        "issuer": one.issuer,
        "serial": None if one.serial is None else _decimal(one.serial),
        "serial_hex": None if one.serial is None else f"{one.serial:x}",
        "key_identifier": None if one.key_identifier is None else one.key_identifier.hex(),
        "algorithm": one.algorithm,
        "key_octets": one.key_octets or None,
        "certificate": recipient
        and {"subject": recipient.subject, "sha256": recipient.fingerprint},
    }


def _decimal(number: int) -> str:
    """In hex where Python refuses so many digits."""
    try:
        return str(number)
    except ValueError:
        return f"{number:#x}"
