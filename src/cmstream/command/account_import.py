"""``cmstream account import``: imports a file, a folder of them, or those that a CSV file lists."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..accounts import import_table, imports
from ..accounts.account import Account
from ..accounts.addresses import canonical
from ..accounts.errors import Invalid, NotFound, StoreUnavailable
from ..accounts.people.credentials import now
from ..errors import CmstreamError
from . import account_tables as shown
from .endings import Failure
from .managing import (
    actor,
    as_json,
    code_of,
    opened,
)
from .shared import (
    ask,
    note,
    password,
    read,
    say,
    warn,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Sequence

    from ..accounts.account import ImportReport
    from ..accounts.store import Store

ENDINGS = {".pem", ".crt", ".cer", ".der", ".p7b", ".p7c", ".p7s", ".eml", ".p12", ".pfx", ".sst"}
"""The endings of certificate files. Other files in a folder are left alone."""

_COLUMNS = ("address", "file")
_REMEDIES = {
    "no-such-account": ": --add makes it",
    "address-mismatch": ", by --confirm-mismatch",
}


class Job(NamedTuple):
    """A file for an account; without ``address``, for the one that its certificate names."""

    address: str | None
    name: str


class _File(NamedTuple):
    """What a file holds, and for whom it is."""

    address: str
    upload: imports.Upload


@dataclass
class _Import:
    """A whole import: its options, and what became of each file."""

    store: Store
    options: argparse.Namespace
    secret: str | bytes | None
    done: list[dict[str, Any]] = field(default_factory=list)
    code: int = os.EX_OK
    given: dict[str, set[str]] = field(default_factory=dict)
    """Fingerprints of what comes for an account, by its address."""

    def take(self, jobs: Sequence[Job]) -> None:
        """Imports the files. One that can't be imported doesn't stop the others."""
        files: Iterable[_File | Exception] = map(self._read_or_not, jobs)
        if self.options.retire_others:  # but for what comes later
            files = [*files]
        for job, file in zip(jobs, files, strict=True):
            self._take_one(job, file)

    def _take_one(self, job: Job, file: _File | Exception) -> None:
        try:
            if isinstance(file, Exception):
                raise file
            self._tell(job.name, self._take(*file))
        except StoreUnavailable:
            raise
        except CmstreamError as error:
            self._fail(job, code_of(error), str(error), error.code)
        except Failure as failure:
            self._fail(job, failure.code, str(failure), "no-such-file")

    def _read_or_not(self, job: Job) -> _File | Exception:
        try:
            file = self._read(job)
            given = self.given.setdefault(canonical(file.address), set())
        except (CmstreamError, Failure) as error:
            return error
        given |= {one.fingerprint for one in file.upload.recipients}
        return file

    def _read(self, job: Job) -> _File:
        data = read(job.name)
        try:
            return _file(job.address, data, self.secret)
        except CmstreamError as error:
            if error.code != "password-needed":
                raise
            secret = ask(job.name)
            if secret is None:
                raise
            return _file(job.address, data, secret)

    def _take(self, address: str, upload: imports.Upload) -> ImportReport:
        options, by = self.options, actor()
        expected, known = self._preview(address, upload)
        imports.require_confirmation(expected, confirmed=options.confirm_mismatch)
        with self.store.trial() if options.dry_run else self.store.together() as store:
            if not known:
                store.add_account(address, by=by)
            report = store.import_certificates(
                address,
                upload,
                by=by,
                confirm_mismatch=options.confirm_mismatch,
                description=options.description,
                retire_others=options.retire_others,
                keep=self.given[canonical(address)],
            )
            if options.cipher:
                store.change_account(address, by=by, cipher=options.cipher)
            account = store.account(address)
        if options.dry_run:
            return replace(expected, retired=report.retired)
        if account.cipher is None:
            note(shown.switched_off(account))
        return report

    def _preview(self, address: str, upload: imports.Upload) -> tuple[ImportReport, bool]:
        """What importing it would give, and whether the account exists."""
        try:
            return self.store.preview(address, upload), True
        except NotFound:
            if not self.options.add:
                raise
        return imports.report(upload, _newcomer(address), ()), False

    def _tell(self, name: str, report: ImportReport) -> None:
        self.done.append(shown.report_object(name, report))
        for remark in shown.report_remarks(report):
            warn(f"{report.account}: {name}: {remark}")
        if not self.options.json:
            say("\n".join(shown.report_lines(name, report)))

    def _fail(self, job: Job, code: int, text: str, name: str) -> None:
        self.code = code
        problem = {"code": name, "message": text}
        self.done.append(
            {"account": job.address, "file": job.name, "saved": False, "error": problem}
        )
        whose = f"{job.address}: " if job.address else ""
        remedy = _REMEDIES.get(name, "")
        warn(f"{whose}{job.name}: not imported: {text}{remedy} [{name}]")


def run(options: argparse.Namespace) -> None:
    """Imports every file that can be imported and reports each. The exit code is that of the last
    one that couldn't be."""
    bulk = options.file is None
    jobs = list(_listed(options.what)) if bulk else [Job(options.what, options.file)]
    with opened(options, create=True) as store:
        work = _Import(store, options, password(options))
        work.take(jobs)
    if options.json:
        say(as_json(work.done))
    if work.code:
        failed = sum("error" in one for one in work.done)
        text = f"{failed} of {len(jobs)} files weren't imported" if bulk else "nothing was imported"
        raise Failure(work.code, text)


# --- the list --------------------------------------------------------------------------------


def _listed(name: str) -> Iterator[Job]:
    path = Path(name)
    if path.is_dir():
        yield from _folder(path)
    elif path.suffix.lower() == ".csv":
        yield from _table(path)
    else:
        raise Failure(
            os.EX_USAGE, f"{name} is neither a folder nor a .csv file: give ADDRESS and FILE"
        )


def _folder(path: Path) -> Iterator[Job]:
    found = [one for one in sorted(path.iterdir()) if one.suffix.lower() in ENDINGS]
    if not found:
        raise Failure(os.EX_NOINPUT, f"{path}: no certificate files ({' '.join(sorted(ENDINGS))})")
    for one in found:
        yield Job(one.stem if "@" in one.stem else None, str(one))


def _table(path: Path) -> Iterator[Job]:
    """Rows of address and file, which stands beside the CSV; a heading may say which is which."""
    try:
        found = list(import_table.rows(read(str(path))))
    except csv.Error as error:
        raise Failure(os.EX_DATAERR, f"{path}: not a CSV file: {error}") from None
    columns = import_table.heading(found[0]) if found else []
    if len(found) == bool(columns):
        raise Failure(os.EX_NOINPUT, f"{path}: it lists no files: give lines of address,file")
    for row in found[bool(columns) :]:
        address, file = _address_and_file(row.cells, columns)
        if not address or not file:
            text = "an address or a file is missing: nothing of the list was imported"
            raise Failure(os.EX_DATAERR, f"{path}: line {row.line}: {text}")
        yield Job(address, str(path.parent / file))


def _address_and_file(cells: list[str], columns: list[str]) -> tuple[str, str]:
    """Where a row has both; columns of other names are of no matter."""
    if set(_COLUMNS) <= set(columns):
        named = dict(zip(columns, cells, strict=False))
        return named.get("address", ""), named.get("file", "")
    return (cells[0], cells[1]) if len(cells) > 1 and not any(cells[2:]) else ("", "")


def _file(address: str | None, data: bytes, secret: str | bytes | None) -> _File:
    upload = imports.read(data, secret)
    return _File(address or _only_address(upload), upload)


def _only_address(upload: imports.Upload) -> str:
    """The one address that the certificates name."""
    found = {canonical(mail) for one in upload.recipients for mail in one.emails}
    if len(found) != 1:
        raise Invalid(
            "invalid-address",
            f"it names {len(found)} addresses: name the file after one, or use a CSV file",
        )
    return found.pop()


def _newcomer(address: str) -> Account:
    """An account that isn't there yet, with the settings that a new one has."""
    return Account(id=0, address=canonical(address), created_at=now())
