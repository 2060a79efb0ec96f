"""The pages that import many certificates: a folder of them, or a table.

As with a single upload, the page in between holds what was checked: the public certificates, and
what is to be done with them.
"""

from __future__ import annotations

import base64
import binascii
import csv
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import CmstreamError
from .. import import_table
from ..addresses import canonical
from ..errors import (
    ImportRefused,
    Invalid,
    NotFound,
    StoreUnavailable,
)
from ..imports import Upload as Examined
from ..imports import read
from . import words
from .upload import pem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from starlette.responses import Response

    from ...certificates.recipient import Recipient
    from ..account import ImportReport
    from ..http.forms import Upload
    from ..store import Store
    from .visit import Visit


@dataclass
class Item:
    """What is to be done for one account: certificates in PEM, from which file or line."""

    address: str
    source: str
    certificates: str
    cipher: str = ""
    description: str = ""


class _Options(NamedTuple):
    """The form's, and what isn't retired: the fingerprints of all that comes for the account."""

    form: dict[str, str]
    keep: Collection[str]


@dataclass
class Result:
    """A line of the list: what would be done, or was, and what was wrong."""

    address: str
    source: str
    result: str
    tone: str
    sentences: list[str] = field(default_factory=list)
    fingerprints: list[str] = field(default_factory=list)
    mismatch: bool = False

    @property
    def good(self) -> bool:
        """Whether something is, or would be, saved."""
        return self.tone != "bad"


def choose(visit: Visit) -> Response:
    """The form for many files."""
    return visit.show("bulk.html", ciphers=words.CIPHERS)


def checked(visit: Visit) -> Response:
    """What would be done with each file and line, before anything is saved."""
    form = visit.form
    if not form.uploads:
        form.errors["files"] = "Choose files, or a folder."
        return choose(visit)
    items, results = _items(form.uploads, form.secret("pfx_password") or None)
    options = {name: form.text(name) for name in ("create", "retire_others", "cipher")}
    planned = []
    for item in items:
        result = _check(visit, item, create=form.ticked("create"))
        results.append(result)
        if result.good:
            planned.append(item)
    plan = json.dumps({"options": options, "items": [vars(one) for one in planned]})
    return _list(visit, results, plan=plan if planned else "")


def saved(visit: Visit) -> Response:
    """Each account is saved in a transaction of its own, whole or not at all, so that everybody
    else can write in between. What can't be done now is named and blocks nothing else."""
    form = visit.form
    try:
        plan = json.loads(form.text("plan"))
        items = [Item(**{name: str(value) for name, value in one.items()}) for one in plan["items"]]
        options = dict(plan["options"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        form.errors["files"] = "The plan came back damaged: choose the files again."
        return choose(visit)
    if not visit.confirm():
        results = [_check(visit, one, create=options.get("create") == "yes") for one in items]
        return _list(visit, results, plan=form.text("plan"))
    results, rest = _save_all(visit, items, options)
    left = json.dumps({"options": options, "items": [vars(one) for one in rest]})
    return _list(visit, results, plan=left if rest else "", saved=True)


def _list(visit: Visit, results: list[Result], *, plan: str = "", saved: bool = False) -> Response:
    good = sum(one.good for one in results)
    verb = "imported" if saved else "can be imported"
    counts = f"{good} of {len(results)} {verb}."
    return visit.show(
        "bulk_result.html",
        results=results,
        saved=saved,
        plan=plan,
        counts=counts,
        mismatch=visit.form.ticked("confirm_mismatch") or any(one.mismatch for one in results),
        confirm=visit.unconfirmed,
    )


# --- what the files say --------------------------------------------------------------------------


def _items(uploads: Sequence[Upload], password: str | None) -> tuple[list[Item], list[Result]]:
    """The items of all files. A file that a table names belongs to the table alone."""
    tables = [one for one in uploads if one.name.lower().endswith(".csv")]
    files = [one for one in uploads if one not in tables]
    items: list[Item] = []
    results: list[Result] = []
    used: set[str] = set()
    for table in tables:
        for source, row in _rows(table, results):
            used.add(row.get("file", ""))
            _collect(_of_row, items, results, source, row, files, password)
    for file in files:
        if file.name not in used:
            _collect(_of_file, items, results, file.name, file, password)
    return items, results


def _collect(make: Any, items: list[Item], results: list[Result], source: str, *rest: Any) -> None:
    try:
        items.extend(make(source, *rest))
    except CmstreamError as error:
        results.append(Result("", source, "can't be used", "bad", [words.sentence(error)]))


def _rows(table: Upload, results: list[Result]) -> Iterator[tuple[str, dict[str, str]]]:
    """A table's lines by their columns' names."""
    try:
        found = import_table.rows(table.data)
        names = [name.lower() for name in next(found, import_table.Row(0, [])).cells]
        if "address" not in names or not {"file", "certificate"} & set(names):
            text = "The table needs the columns address, and file or certificate."
            results.append(Result("", table.name, "can't be used", "bad", [text]))
            return
        for row in found:
            named = zip(names, row.cells, strict=False)
            yield f"{table.name}, line {row.line}", {name: cell for name, cell in named if name}
    except csv.Error as error:
        text = f"The table can't be read ({error})."
        results.append(Result("", table.name, "can't be used", "bad", [text]))


def _of_row(
    source: str, row: dict[str, str], files: Sequence[Upload], password: str | None
) -> Iterator[Item]:
    address = canonical(row.get("address", ""))
    name = row.get("file", "")
    data = _file(name, files) if name else _certificate(row.get("certificate", ""))
    cipher = row.get("cipher", "")
    if cipher and cipher not in words.BY_NAME:
        raise Invalid("invalid-setting", f"there is no cipher {cipher}")
    found = pem(read(data, password).recipients).decode("ascii")
    yield Item(address, source, found, cipher, row.get("description", ""))


def _file(name: str, files: Sequence[Upload]) -> bytes:
    """The one of that name; without their folders two may share it, and the table says no more."""
    found = [one.data for one in files if one.name == name]
    if not found:
        raise Invalid("invalid-setting", f"the file {name} wasn't among those chosen")
    if len(found) > 1:
        text = f"{len(found)} of the files are called {name}: give each a name of its own"
        raise Invalid("invalid-setting", text)
    return found[0]


def _certificate(text: str) -> bytes:
    """PEM, or the base64 of DER."""
    if "-----BEGIN" in text:
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid("invalid-setting", "the certificate is neither PEM nor base64") from error


def _of_file(source: str, file: Upload, password: str | None) -> Iterator[Item]:
    """One item for each address that the file's certificates name."""
    by_address: dict[str, list[Any]] = {}
    for one in read(file.data, password).recipients:
        by_address.setdefault(_only_address(one), []).append(one)
    for address, recipients in by_address.items():
        yield Item(address, source, pem(recipients).decode("ascii"))


def _only_address(recipient: Recipient) -> str:
    """Whoever makes a certificate may write others' addresses into it beside the own one, and would
    read their mail: for which account it is, a person says then."""
    if not recipient.emails:
        text = "the certificate names no address: import it from the account's own page"
        raise Invalid("invalid-address", text)
    found = {canonical(one) for one in recipient.emails}
    if len(found) > 1:
        text = f"the certificate names {len(found)} addresses: say by a table whose it is"
        raise Invalid("invalid-address", text)
    return found.pop()


# --- what becomes of each ------------------------------------------------------------------------


def _check(visit: Visit, item: Item, *, create: bool) -> Result:
    try:
        upload = _read(item)
        report = visit.store.preview(item.address, upload)
    except StoreUnavailable:
        raise
    except NotFound:
        return _new(item, upload, create=create)
    except CmstreamError as error:
        return _failed(item, error)
    return _described(item, report, "can be saved")


def _read(item: Item) -> Examined:
    return read(item.certificates.encode("ascii", "replace"))


def _read_or_not(item: Item) -> Examined | CmstreamError:
    try:
        return _read(item)
    except CmstreamError as error:
        return error


def _new(item: Item, upload: Examined, *, create: bool) -> Result:
    if not create:
        text = "There is no such account. Tick “Add accounts” to have it added."
        return Result(item.address, item.source, "no account", "bad", [text])
    found = upload.recipients
    sentences = ["The account will be added."]
    others = [one for one in found if not _names(one, item.address)]
    if others:
        sentences.append(f"A certificate names another address than {item.address}.")
    sentences += [words.problem(problem) for one in found for problem in one.problems()]
    tone = "warn" if len(sentences) > 1 else "good"
    fingerprints = [one.fingerprint for one in found]
    return Result(
        item.address, item.source, "new account", tone, sentences, fingerprints, bool(others)
    )


def _names(recipient: Recipient, address: str) -> bool:
    """Whether a certificate is for an address, or says nothing of the kind."""
    with suppress(Invalid):
        return not recipient.emails or address in map(canonical, recipient.emails)
    return False


def _described(item: Item, report: ImportReport, result: str) -> Result:
    problems = [one for held in report.certificates for one in held.problems]
    return Result(
        item.address,
        item.source,
        result,
        "warn" if problems else "good",
        [words.problem(one) for one in problems],
        [one.recipient.fingerprint for one in report.certificates],
        mismatch=report.needs_confirmation,
    )


def _failed(item: Item, error: CmstreamError) -> Result:
    return Result(item.address, item.source, "not saved", "bad", [words.sentence(error)])


def _save_all(
    visit: Visit, items: Sequence[Item], options: dict[str, str]
) -> tuple[list[Result], list[Item]]:
    """What became of each, and those that can be sent again since the store got out of reach."""
    accounts: dict[str, list[Item]] = {}
    for one in items:
        accounts.setdefault(one.address, []).append(one)
    waiting = list(accounts.values())
    results: list[Result] = []
    while waiting:
        try:
            results += _save_account(visit, waiting[0], options)
        except StoreUnavailable as error:
            if not results:
                raise
            rest = [one for mine in waiting for one in mine]
            return results + [_failed(one, error) for one in rest], rest
        waiting.pop(0)
    return results, []


def _save_account(visit: Visit, items: list[Item], options: dict[str, str]) -> list[Result]:
    """All that is to be done for one account, in one transaction; everything is read before."""
    uploads = [_read_or_not(one) for one in items]
    found = [one for each in uploads if isinstance(each, Examined) for one in each.recipients]
    wanted = _Options(options, frozenset(one.fingerprint for one in found))
    with visit.store.together() as store:
        return [
            _failed(one, upload)
            if isinstance(upload, CmstreamError)
            else _save(visit, store, one, upload, wanted)
            for one, upload in zip(items, uploads, strict=True)
        ]


def _save(visit: Visit, store: Store, item: Item, upload: Examined, options: _Options) -> Result:
    """All that is to be done for one file or line, or nothing."""
    try:
        with store.together() as one:
            report = _import(visit, one, item, upload, options)
            _set_cipher(visit, one, item, options.form)
    except StoreUnavailable:
        raise
    except CmstreamError as error:
        return _failed(item, error)
    return _described(item, report, "saved")


def _import(
    visit: Visit, store: Store, item: Item, upload: Examined, options: _Options
) -> ImportReport:
    try:
        account = store.account(item.address)
    except NotFound:
        if options.form.get("create") != "yes":
            raise
        _require_confirmation(visit, item, upload)
        account = store.add_account(item.address, by=visit.by)
    return store.import_certificates(
        account.address,
        upload,
        by=visit.by,
        confirm_mismatch=visit.form.ticked("confirm_mismatch"),
        description=item.description,
        retire_others=options.form.get("retire_others") == "yes",
        keep=options.keep,
    )


def _require_confirmation(visit: Visit, item: Item, upload: Examined) -> None:
    """A new account has no address yet that a certificate could be compared with."""
    found = _new(item, upload, create=True)
    if found.mismatch and not visit.form.ticked("confirm_mismatch"):
        raise ImportRefused("address-mismatch", found.sentences[1])


def _set_cipher(visit: Visit, store: Store, item: Item, options: dict[str, str]) -> None:
    """The table's own, or the form's where the account has none."""
    account = store.account(item.address)
    cipher = item.cipher or account.cipher or options.get("cipher", "")
    if cipher and cipher != account.cipher:
        store.change_account(account.address, by=visit.by, cipher=cipher)
