"""The JSON that the API takes and gives, as JSON Schema 2020-12 for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from .. import account_settings
from ..account import SWITCHES
from ..addresses import LONGEST, MAY_DELIMIT
from ..people.tokens import SCOPES
from ..values import MAX_TEXT

Schema = dict[str, Any]

_FINGERPRINT = "03ac674216f3e15c761ee1a5e255f067953623c8b388b4459e13f978d7c846f4"
_MOMENT = "2026-01-31T12:00:00Z"


def ref(name: str) -> Schema:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def text(description: str = "", **more: Any) -> Schema:
    """A string."""
    return {"type": "string", "description": description, **more}


def moment(description: str) -> Schema:
    """A moment in UTC, RFC 3339."""
    return text(description, format="date-time")


def nullable(schema: Schema) -> Schema:
    """The same, or null."""
    return {**schema, "type": [schema["type"], "null"]}


def flag(description: str) -> Schema:
    """True or false."""
    return {"type": "boolean", "description": description}


def number(description: str, **more: Any) -> Schema:
    """A whole number."""
    return {"type": "integer", "description": description, **more}


def array_of(items: Schema, description: str = "", **more: Any) -> Schema:
    """A list."""
    return {"type": "array", "items": items, "description": description, **more}


def object_of(properties: dict[str, Schema], *optional: str, **more: Any) -> Schema:
    """An object with these members and no others; all are required but the optional ones."""
    required = [name for name in properties if name not in optional]
    found = {"type": "object", "properties": properties, "additionalProperties": False, **more}
    return {**found, "required": required} if required else found


FINGERPRINT = text("SHA-256 of the certificate, hexadecimal.", pattern="^[0-9a-f]{64}$")
ADDRESS = text("An e-mail address.", pattern='^(".+"|[^@\\s]+)@[^@\\s/]+$', maxLength=LONGEST)
LINE = text("A line of text.", maxLength=MAX_TEXT)
ROLE = text("What somebody may do.", enum=["owner", "administrator"])

SETTINGS: dict[str, Schema] = {
    name: one.schema() for name, one in account_settings.SETTINGS.items()
}

_PROBLEM_OF_CERTIFICATE = object_of(
    {"code": text("The problem's short name."), "detail": text("The problem as a sentence.")}
)
_READ: dict[str, Schema] = {
    "subject": text("RFC 4514."),
    "issuer": text("RFC 4514."),
    "serial": text("Hexadecimal.", pattern="^-?[0-9a-f]+$"),
    "emails": array_of(text(), "Whom it is for."),
    "not_before": moment("From when on it is valid."),
    "not_after": moment("Until when it is valid."),
    "key": text("Such as RSA-2048 or P-256."),
}
_READ_EXAMPLE = {
    "subject": "CN=Alice",
    "issuer": "CN=Example CA",
    "serial": "1f",
    "emails": ["alice@example.org"],
    "not_before": _MOMENT,
    "not_after": "2028-01-31T12:00:00Z",
    "key": "RSA-2048",
    "problems": [],
}
_FINDING = object_of(
    {
        "level": text("Whether it is refused.", enum=["refuse", "warn"]),
        "client": text("The mail program."),
        "detail": text("What it can't open, as a sentence."),
    }
)
_SWITCHES = {name: text(enum=list(values)) for name, values in SWITCHES.items()} | {
    "recipient_delimiter": text(
        "Each character of it begins the detail of an address; empty: addresses have none.",
        pattern=f"^[{MAY_DELIMIT}]*$",
        maxLength=len(MAY_DELIMIT),
    )
}
_EXPIRED = {"code": "expired", "detail": "The certificate expired on 2026-01-31."}
_ACCOUNT_EXAMPLE = {
    "address": "alice@example.org",
    **{
        name: list(one.default) if one.many else one.default
        for name, one in account_settings.SETTINGS.items()
    },
    "cipher": "aes256-cbc",
    "aliases": ["alice.liddell@example.org"],
    "created_at": _MOMENT,
    "protected": True,
    "certificates": {"active": 1, "retired": 0, "expires_at": "2028-01-31T12:00:00Z"},
}

SCHEMAS: dict[str, Schema] = {
    "Health": object_of({"status": text("It works.", enum=["ok"])}, example={"status": "ok"}),
    "Problem": {
        "type": "object",
        "description": "Why a request was refused (RFC 9457).",
        "properties": {
            "type": text("A URN that ends with the code."),
            "title": text("The status in words."),
            "status": number("The status."),
            "code": text("The short name, such as password-needed."),
            "detail": text("What was wrong, and what to do, as a sentence."),
            "request": text("The request's id, as it stands in the server's log."),
        },
        "required": ["type", "title", "status", "code", "detail"],
        "example": {
            "type": "urn:cmstream:problem:password-needed",
            "title": "Unprocessable Entity",
            "status": 422,
            "code": "password-needed",
            "detail": "this PKCS #12 file needs its password",
            "request": "9f86d081884c7d65",
        },
    },
    "Settings": object_of(
        SETTINGS, *SETTINGS, example={"cipher": "aes256-cbc", "when_unusable": "error"}
    ),
    "AllSettings": object_of(
        SETTINGS, *(SETTINGS.keys() - {"cipher"}), example={"cipher": "aes128-cbc"}
    ),
    "NewAccount": object_of(
        {"address": ADDRESS, **SETTINGS},
        *SETTINGS,
        example={"address": "alice@example.org", "cipher": "aes256-cbc"},
    ),
    "Account": object_of(
        {
            "address": text("The account's own address."),
            **SETTINGS,
            "created_at": moment("When it was made."),
            "protected": flag("A cipher is set and a certificate is active."),
            "certificates": object_of(
                {
                    "active": number("How many mail is sealed with.", minimum=0),
                    "retired": number("How many are kept only.", minimum=0),
                    "expires_at": nullable(moment("When the last one that is used expires.")),
                }
            ),
        },
        example=_ACCOUNT_EXAMPLE,
    ),
    "Accounts": object_of(
        {
            "accounts": array_of(ref("Account"), "In the order of their addresses."),
            "next": nullable(text("Where the next page is; null on the last one.")),
        },
        example={"accounts": [_ACCOUNT_EXAMPLE], "next": None},
    ),
    "Certificate": object_of(
        {
            "fingerprint": FINGERPRINT,
            "state": text("Whether mail is sealed with it.", enum=["active", "retired"]),
            "description": text("In its owner's words."),
            "mismatch_confirmed": flag("It is for another address, and that was confirmed."),
            "added_at": moment("When it came."),
            "added_by": text("Who brought it."),
            "set_aside": flag(
                "It is active, and yet mail isn't sealed with it: it isn't meant for mail, and "
                "another one of the account is. The problem set-aside says why."
            ),
            **_READ,
            "problems": array_of(_PROBLEM_OF_CERTIFICATE, "What is wrong with it."),
        },
        *_READ,
        example={
            "fingerprint": _FINGERPRINT,
            "state": "active",
            "description": "the new card",
            "mismatch_confirmed": False,
            "added_at": _MOMENT,
            "added_by": "alice",
            "set_aside": False,
            **_READ_EXAMPLE,
            "problems": [_EXPIRED],
        },
    ),
    "Certificates": object_of({"certificates": array_of(ref("Certificate"))}),
    "CertificateChange": object_of(
        {
            "state": text("Retire or activate it.", enum=["active", "retired"]),
            "description": LINE,
        },
        "state",
        "description",
        example={"state": "retired"},
    ),
    "ImportReport": object_of(
        {
            "account": text("The account's address."),
            "saved": flag("Whether it is in the store now."),
            "needs_confirmation": flag("A certificate is for another address."),
            "private_key_ignored": flag(
                "A private key came along and wasn't kept: it should not travel."
            ),
            "retired": array_of(FINGERPRINT, "The certificates that were retired by it."),
            "signature": nullable(
                object_of(
                    {
                        "verified": flag("The mail was signed with the certificate's own key."),
                        "detail": text("The same as a sentence, or why nothing is proved."),
                    },
                    description="What the signature proves of a mail; null for other files.",
                )
            ),
            "findings": array_of(_FINDING, "What the account's mail programs can't open."),
            "certificates": array_of(
                object_of(
                    {
                        "fingerprint": FINGERPRINT,
                        **_READ,
                        "known": {
                            "enum": ["active", "retired", None],
                            "description": "Its state, if the account had it before.",
                        },
                        "problems": array_of(_PROBLEM_OF_CERTIFICATE),
                    }
                ),
                "What is taken.",
            ),
            "set_aside": array_of(
                object_of(
                    {
                        "subject": text("RFC 4514; empty if it can't be read."),
                        "fingerprint": FINGERPRINT,
                        "reason": text("Why, as a sentence."),
                    }
                ),
                "What isn't taken.",
            ),
        },
        example={
            "account": "alice@example.org",
            "saved": True,
            "needs_confirmation": False,
            "private_key_ignored": False,
            "retired": [],
            "signature": None,
            "findings": [],
            "certificates": [{"fingerprint": _FINGERPRINT, **_READ_EXAMPLE, "known": None}],
            "set_aside": [],
        },
    ),
    "Switches": object_of(
        _SWITCHES,
        example={name: values[0] for name, values in SWITCHES.items()},
    ),
    "SwitchChange": object_of(
        _SWITCHES,
        *SWITCHES,
        example={"encryption": "off"},
    ),
    "AuditEntry": object_of(
        {
            "id": number("Later entries have larger ones."),
            "at": moment("When."),
            "actor": text("Who."),
            "role": ROLE,
            "address": nullable(text("The account; null for the whole server.")),
            "action": text("What."),
            "fingerprint": nullable(text("Which certificate.")),
            "detail": {"type": "object", "description": "The values that changed."},
            "acknowledged_at": nullable(moment("When the owner said to have seen it.")),
            "needs_acknowledgement": flag("Somebody else did it, and the owner hasn't seen it."),
        },
        example={
            "id": 7,
            "at": _MOMENT,
            "actor": "root",
            "role": "administrator",
            "address": "alice@example.org",
            "action": "import-certificate",
            "fingerprint": _FINGERPRINT,
            "detail": {"subject": "CN=Alice"},
            "acknowledged_at": None,
            "needs_acknowledgement": True,
        },
    ),
    "Seal": object_of(
        {
            "action": text("Sealed, or left as it is.", enum=["seal", "leave"]),
            "code": text("The reason's short name, such as enabled or disabled."),
            "detail": text("The reason as a sentence."),
            "cipher": nullable(text("By which cipher.")),
            "header_protection": nullable(
                text("Which header fields are sealed too (RFC 9788): baseline or shy; null: none.")
            ),
            "notes": array_of(text(), "What is wrong with certificates that are used or left out."),
        },
        example={
            "action": "seal",
            "code": "enabled",
            "detail": "Mail is sealed.",
            "cipher": "aes256-cbc",
            "header_protection": None,
            "notes": [],
        },
    ),
    "Clients": object_of(
        {
            "clients": array_of(
                object_of(
                    {
                        "id": text("What an account's setting says."),
                        "name": text("What people call it."),
                        "version": text("Which one was looked at."),
                        "source": text("How it is known."),
                        "opens": array_of(text(), "Ciphers, key transports and kinds of keys."),
                        "fails": array_of(text(), "The same, for what it doesn't open."),
                        "depends": {"type": "object", "description": "What it opens if …"},
                        "opens_beside": array_of(
                            text(), "Kinds of recipients that do no harm beside its own."
                        ),
                        "fails_beside": array_of(
                            text(), "Kinds beside its own for which it refuses the whole message."
                        ),
                        "ski": nullable(
                            flag("It finds its recipient by a key identifier; null: unknown.")
                        ),
                        "header_protection": nullable(
                            flag("It shows the sealed Subject (RFC 9788); null: unknown.")
                        ),
                    }
                )
            )
        }
    ),
    "AuditLog": object_of({"entries": array_of(ref("AuditEntry"), "The newest first.")}),
}

_PERSON_EXAMPLE = {
    "name": "alice",
    "role": "owner",
    "account": "alice@example.org",
    "has_password": True,
    "created_at": _MOMENT,
}
_TOKEN_EXAMPLE = {
    "id": 3,
    "name": "enrolment",
    "role": "administrator",
    "account": None,
    "scopes": ["accounts:read", "certificates:write"],
    "created_at": _MOMENT,
    "expires_at": None,
    "revoked_at": None,
    "used_at": None,
}
_NAME = text("A name to sign in with.", minLength=1, maxLength=MAX_TEXT)
_PASSWORD = text("A password.", format="password", maxLength=1024)
_TOKEN = {
    "id": number("Its number."),
    "name": text("What uses it."),
    "role": ROLE,
    "account": nullable(text("The account that it is bound to; null for all.")),
    "scopes": array_of(text(enum=list(SCOPES)), "What it may do."),
    "created_at": moment("When it was made."),
    "expires_at": nullable(moment("When it stops to work.")),
    "revoked_at": nullable(moment("When it was revoked.")),
    "used_at": nullable(moment("When it was used last.")),
}

SCHEMAS |= {
    "SignIn": object_of(
        {"name": _NAME, "password": _PASSWORD},
        example={"name": "alice", "password": "a long passphrase"},
    ),
    "Confirmation": object_of({"password": _PASSWORD}, example={"password": "a long passphrase"}),
    "Session": object_of(
        {
            "name": text("Who has signed in."),
            "role": ROLE,
            "account": nullable(text("The account that they own; null for administrators.")),
            "csrf": text("For the header X-CSRF-Token of each request that changes something."),
            "expires_at": moment("When it ends at the latest."),
            "confirmed_until": nullable(moment("So long the password needn't be given again.")),
        },
        example={
            "name": "alice",
            "role": "owner",
            "account": "alice@example.org",
            "csrf": "4vYlVt6n",
            "expires_at": _MOMENT,
            "confirmed_until": None,
        },
    ),
    "Person": object_of(
        {
            "name": text("The name to sign in with."),
            "role": ROLE,
            "account": nullable(text("The account that they own; null for administrators.")),
            "has_password": flag("False until they have chosen one."),
            "created_at": moment("Since when."),
        },
        example=_PERSON_EXAMPLE,
    ),
    "People": object_of({"people": array_of(ref("Person"))}, example={"people": [_PERSON_EXAMPLE]}),
    "NewPerson": object_of(
        {"name": _NAME, "role": ROLE, "account": ADDRESS},
        "account",
        example={"name": "alice", "role": "owner", "account": "alice@example.org"},
    ),
    "Link": object_of(
        {"url": text("Works once.", format="uri"), "minutes": number("And for so long.")},
        example={"url": "https://mail.example.org/link/Xs8", "minutes": 15},
    ),
    "Token": object_of(_TOKEN, example=_TOKEN_EXAMPLE),
    "Tokens": object_of({"tokens": array_of(ref("Token"))}, example={"tokens": [_TOKEN_EXAMPLE]}),
    "NewToken": object_of(
        {
            "name": {**_NAME, "description": "What uses it."},
            "scopes": array_of(text(enum=list(SCOPES)), "What it may do.", minItems=1, maxItems=50),
            "account": {**ADDRESS, "description": "The account that it is bound to."},
            "days": number("After so many it stops to work.", minimum=1, maximum=3650),
        },
        "account",
        "days",
        example={"name": "enrolment", "scopes": ["accounts:read", "certificates:write"]},
    ),
    "CreatedToken": object_of(
        {"secret": text("Shown once: Authorization: Bearer …"), **_TOKEN},
        example={"secret": "cmstream_…", **_TOKEN_EXAMPLE},
    ),
}
