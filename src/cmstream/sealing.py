"""Seals messages in C: one through an encoder, or many in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from .cms import aead
from .cms.already_encrypted import is_encrypted_body, pieces
from .cms.authenticated import AuthenticatedEncoder, encrypt_pieces
from .engine import batch, one_message
from .engine.buffer_pool import filled
from .engine.encoder import NativeEncoder
from .engine.gate import no_random
from .errors import MessageError, octets_of
from .mail import mime
from .mail.header_protection import protect
from .recipients.recipients import prepare

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .engine.encoder import LineEnds
    from .engine.gate import AnyBuffer, Buffer
    from .engine.prepared_recipients import PreparedRecipients
    from .policy import Policy
    from .recipients.recipients import Recipients

Form = Literal["der", "pem", "smime", "message"]
"""The form of what comes out. ``"der"``: CMS as it is. ``"pem"``: CMS in PEM (RFC 7468).
``"smime"``: an S/MIME entity (RFC 8551 section 3.2) with any content. ``"message"``: RFC 5322 in,
and an S/MIME message out.

Whatever takes jobs, pairs of data and recipients, makes messages unless told otherwise
(``encrypt_many`` and its like, ``Gatherer.submit``); everything else makes DER."""


class _Layout(NamedTuple):
    base64: bool
    before: bytes = b""
    after: bytes = b""


_LAYOUTS = {
    "der": _Layout(base64=False),
    "pem": _Layout(True, b"-----BEGIN CMS-----\r\n", b"-----END CMS-----\r\n"),
    "smime": _Layout(True, mime.ENTITY_HEADER),
    "message": _Layout(True, mime.ENTITY_HEADER),
}
_FORMS = {
    name: batch.Form(
        layout.before,
        layout.after,
        base64=layout.base64,
        message=name == "message",
        auth_before=layout.before.replace(mime.ENTITY_HEADER, mime.AUTH_ENTITY_HEADER),
    )
    for name, layout in _LAYOUTS.items()
}
MESSAGE = _FORMS["message"]


def check_form(form: str) -> None:
    """Raises ValueError for an unknown form."""
    if form not in _LAYOUTS:
        raise ValueError(f"form={form!r}: choose one of {', '.join(_LAYOUTS)}")


def should_pass_through(head: bytes, body: Iterable[Buffer], policy: Policy) -> bool:
    """Whether the message goes out unchanged, because it is encrypted already. ``body``: all of
    it, in pieces. Raises MessageError ``already-encrypted`` if the policy refuses such a
    message."""
    if policy.already_encrypted == "encrypt" or not is_encrypted_body(head, body):
        return False
    if policy.already_encrypted == "refuse":
        raise MessageError(
            "already-encrypted",
            "the message is encrypted already, and the policy refuses such a message: with its "
            "already_encrypted='pass' it goes through, with 'encrypt' it is encrypted again",
        )
    return True


def empty_message() -> MessageError:
    """The error for a message without a single byte."""
    return MessageError("malformed-message", "the message is empty: there is nothing to seal")


# With an encoder of its own


def content_encoder(to: Recipients, policy: Policy, form: Form, size: int | None) -> NativeEncoder:
    """The encoder of content."""
    check_form(form)
    native = prepare(to, policy).native
    if native.streams:
        encoder = NativeEncoder(native.cipher)
        encoder.begin(native, _FORMS[form], size)
        return encoder
    layout = _LAYOUTS[form]
    if layout.before == mime.ENTITY_HEADER:
        layout = layout._replace(before=_entity_header(to, policy))
    return _encoder(to, policy, layout, size)


def message_encoder(
    head: bytes, body_size: int | None, line_feeds: int | None, to: Recipients, policy: Policy
) -> tuple[NativeEncoder, bytes]:
    """The encoder of a message with this header block, and what goes into it before the body.

    ``line_feeds``: how many bare ones the body has; None if they weren't counted."""
    framing = _framing(head, to, policy)
    line_ends: LineEnds = "as-is"
    size = None
    if body_size is not None:
        size = len(framing.inside) + body_size
    if framing.canonical:
        size = size and size + (line_feeds or 0)
        counted = body_size is None or line_feeds is not None
        line_ends = "canonical" if counted else "strict"
        if line_feeds == 0:
            line_ends = "as-is"
    layout = _Layout(base64=True, before=framing.outside)
    return _encoder(to, policy, layout, size, line_ends), framing.inside


def _framing(head: bytes, to: Recipients, policy: Policy) -> mime.Framing:
    """A header block cut as the policy says."""
    hcp, entity = policy.header_protection, _entity_header(to, policy)
    return mime.frame(head, entity) if hcp is None else protect(head, hcp, entity)


def _entity_header(to: Recipients, policy: Policy) -> bytes:
    authenticated = prepare(to, policy).native.authenticated
    return mime.AUTH_ENTITY_HEADER if authenticated else mime.ENTITY_HEADER


def _encoder(
    to: Recipients,
    policy: Policy,
    layout: _Layout,
    size: int | None,
    line_ends: LineEnds = "as-is",
) -> NativeEncoder:
    """An encoder with a fresh key, which is encrypted to every recipient."""
    prepared = prepare(to, policy)
    native = prepared.native
    kind = AuthenticatedEncoder if native.authenticated else NativeEncoder
    encoder = kind(native.cipher)
    infos = encoder.wrap(native) if native.wraps else prepared.encode(encoder.key())
    encoder.plan(
        infos=infos,
        version=native.version,
        size=size,
        before=layout.before,
        after=layout.after,
        base64=layout.base64,
        line_ends=line_ends,
    )
    return encoder


# In one call


class Job(NamedTuple):
    """A message or content to be encrypted; ``native``: its recipients as C takes them."""

    data: bytes | memoryview
    to: Recipients
    policy: Policy
    native: PreparedRecipients


def job(data: AnyBuffer, to: Recipients, policy: Policy) -> Job:
    """One job. Raises RecipientError; TypeError if ``data`` isn't bytes-like and contiguous."""
    octets = data if type(data) is bytes else octets_of(data, "message or content")
    # A third of the time that the class's own constructor takes.
    return _new(Job, (octets, to, policy, prepare(to, policy).native))


_new = tuple.__new__


_NO_LIMIT = 1 << 63


class Group:
    """Jobs of one form, encrypted by one call into C. ``count_all``: counts every line feed,
    instead of taking the first ones of a message for the rule."""

    def __init__(self, jobs: Sequence[Job], form: Form, *, count_all: bool = False) -> None:
        self._jobs, self._form, self._count_all = jobs, form, count_all
        data, _, _, to = zip(*jobs, strict=True)
        # Whether no job needs a look of its own: then the sizes that C gives are enough.
        every = set(to)
        self._plain = all(who.wraps for who in every) and (form != "message" or all(data))
        limits = [aead.limit(who.cipher) for who in every if who.authenticated]
        self._limit = min(limits, default=_NO_LIMIT)
        encrypt = encrypt_pieces if limits else None
        self._batch = own = batch.Batch(_FORMS[form], data, to, encrypt)
        self.run, self.run_into, self.written = own.run, own.run_into, own.written

    def plan_sizes(self) -> Sequence[int | bytes | Exception]:
        """For each job the size of its answer in bytes; or its answer, if that is an error, or a
        message that is encrypted already."""
        totals = self._batch.plan_sizes(count_all=self._count_all)
        if totals is not None and self._plain and max(totals) <= self._limit:
            return totals
        return [self._look(index, job) for index, job in enumerate(self._jobs)]

    def _look(self, index: int, job: Job) -> int | bytes | Exception:
        if self._form == "message" and not job.data:
            return empty_message()
        body = self._batch.suspect(index)
        total = self._batch.total(index)
        try:
            if body is not None and should_pass_through(
                bytes(job.data[:body]), pieces(memoryview(job.data)[body:]), job.policy
            ):
                return bytes(job.data)
            if total == batch.NEEDS_HEAD:
                total = self._bring_head(index, job)
            if total >= 0 and job.native.authenticated:
                aead.check_length(job.native.cipher, self._batch.content_len(index))
            if total >= 0 and not job.native.wraps:
                infos = prepare(job.to, job.policy).encode(self._batch.key(index))
                self._batch.bring(index, infos)
        except Exception as error:  # noqa: BLE001 - the others aren't harmed
            return error
        return total if total >= 0 else failure(total)

    def failure(self, index: int) -> Exception:
        """Why a message wasn't encrypted."""
        return self._batch.errors.get(index) or failure(self.written(index))

    def _bring_head(self, index: int, job: Job) -> int:
        """Cuts a header block that C doesn't cut: its fields are protected, or it is long or
        odd. Gives the size of the answer or C's code."""
        head = bytes(job.data[: self._batch.body(index)])
        outside, inside, canonical = _framing(head, job.to, job.policy)
        return self._batch.bring_head(
            index, outside, inside, canonical=canonical, count_all=self._count_all
        )


def failure(code: int) -> Exception:
    """The exception for a code that C gives instead of a length."""
    if code == batch.NO_HEADER_END:
        return mime.header_too_large()
    if code == batch.CHANGED:
        return ValueError("the message's bytes changed while it was sealed: they must stay")
    if code == batch.NO_RANDOM:
        return no_random()
    return ValueError("the sealed message would be longer than 2**63 bytes")


def seal_one(job: Job, form: Form) -> bytes:
    """The answer for one job. Raises RecipientError, MessageError."""
    if job.native.wraps and job.data:
        sealed = one_message.sealed(_FORMS[form], job.data, job.native)
        if sealed is not None:
            return sealed
    for count_all in (False, True):
        group = Group([job], form, count_all=count_all)
        (found,) = group.plan_sizes()
        if isinstance(found, Exception):
            raise found
        if isinstance(found, bytes):
            return found
        answer = filled(found, group.run_into)
        if group.written(0) >= 0:
            return answer
    raise group.failure(0)
