"""Puts the entries of the audit log into words, for pages and mail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .account_settings import SETTINGS
from .cipher_words import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .account import AuditEntry
    from .setting import Setting

_CHANGES = {
    "add-account": "added the account",
    "change-account": "changed the settings",
    "remove-account": "removed the account",
    "import-certificate": "added a certificate",
    "activate-certificate": "put a certificate in use again",
    "retire-certificate": "retired a certificate",
    "delete-certificate": "deleted a certificate",
    "describe-certificate": "described a certificate",
    "read-test-message": "could read a test message",
    "set-switch": "set a switch of the whole server",
    "restore-backup": "restored the store from a backup",
    "add-person": "let somebody sign in",
    "remove-person": "took somebody's access away",
    "set-password": "set a password",
    "add-link": "made a sign-in link",
    "use-link": "signed in by a link and set a password",
    "end-sessions": "ended all sessions",
    "add-token": "made a token for a machine",
    "revoke-token": "revoked a token",
}
_NAMED = ("subject", "person", "token")


def change(entry: AuditEntry, *, before: bool = False) -> str:
    """What an entry of the audit log says was done. ``before``: also what was there before."""
    text = _CHANGES.get(entry.action, entry.action.replace("-", " "))
    detail = entry.detail
    old, new = (detail.get("old") if before else None), detail.get("new")
    if entry.action == "change-account" and isinstance(new, dict):
        return f"{text}: {_settings(new, old if isinstance(old, dict) else {})}"
    if entry.action == "set-switch":
        nothing = "none" if detail.get("switch") == "recipient_delimiter" else "as accounts say"
        return f"{text}: {detail.get('switch')} is {new or nothing}"
    if entry.action == "describe-certificate" and before:
        return f"{text}: {new or 'without words'} (was: {old or 'without words'})"
    who = next((detail[name] for name in _NAMED if detail.get(name)), None)
    return f"{text}: {who}" if who else text


def _settings(new: Mapping[str, object], old: Mapping[str, object]) -> str:
    return "; ".join(
        f"{SETTINGS[name].label.lower()}: {setting(SETTINGS[name], value)}"
        + (f" (was: {setting(SETTINGS[name], old[name])})" if name in old else "")
        if name in SETTINGS
        else f"{name}: {value}"
        for name, value in new.items()
    )


def setting(one: Setting, value: Any) -> str:
    """A setting's value for people."""
    return BY_NAME[value].label if one.name == "cipher" and value in BY_NAME else one.say(value)
