"""What a certificate file holds, in words for people and in JSON for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .certificates import CertificateFile, Recipient


def as_text(file: CertificateFile) -> str:
    """A block of lines for each certificate, then what was set aside and ignored."""
    blocks = [_lines(recipient) for recipient in file.recipients]
    blocks += [
        f"set aside:    {aside.subject}\n  reason:     {aside.reason}\n"
        f"  SHA-256:    {aside.fingerprint}"
        for aside in file.set_aside
    ]
    if file.private_key_ignored:
        blocks.append("A private key in the file was ignored: only the certificate is needed.")
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
    rows += [("problem", f"{problem} [{problem.code}]") for problem in recipient.problems()]
    return "\n".join(f"{name + ':':<13} {value}" for name, value in rows)


def as_json(file: CertificateFile) -> str:
    """One object: ``recipients``, ``set_aside``, ``warnings``."""
    document = {
        "recipients": [_object(recipient) for recipient in file.recipients],
        "set_aside": [
            {"subject": a.subject, "sha256": a.fingerprint, "reason": a.reason}
            for a in file.set_aside
        ],
        "warnings": ["private-key-ignored"] if file.private_key_ignored else [],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _object(recipient: Recipient) -> dict[str, Any]:
    return {
        "subject": recipient.subject,
        "issuer": recipient.issuer,
        "serial": str(recipient.serial),
        "emails": list(recipient.emails),
        "not_before": recipient.not_before.isoformat(),
        "not_after": recipient.not_after.isoformat(),
        "key": recipient.key,
        "sha256": recipient.fingerprint,
        "problems": [{"code": p.code, "text": str(p)} for p in recipient.problems()],
    }
