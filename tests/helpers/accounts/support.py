"""What tests of the store share: who makes a change, certificates, a PostgreSQL of their own."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from itertools import count
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from cmstream.accounts import Actor
from cmstream.accounts.people import credentials, sessions
from cmstream.accounts.people.people import People
from cmstream.accounts.tables import metadata
from helpers.authorities import rsa_identity

ADMINISTRATOR = Actor("root", "administrator")
OWNER = Actor("alice", "owner")

_numbers = count()


def program(name: str) -> str | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    places = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
    return shutil.which(name, path=places)


class PostgreSQL:
    """A server of its own on a socket in its own folder, run by an unprivileged user."""

    def __init__(self, folder: Path):
        self.folder = folder
        # The server refuses to run as root.
        self.user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
        if self.user:
            shutil.chown(folder, **self.user)
        self.name = self.user.get("user", getpass.getuser())
        self._run("initdb", "-A", "trust", "-N", "-E", "UTF8", "--locale=C.UTF-8")
        self.start()

    def _run(self, name, *arguments):
        command = [program(name), "-D", f"{self.folder}/data", *arguments]
        subprocess.run(
            command, check=True, cwd=self.folder, stdout=subprocess.DEVNULL, timeout=60, **self.user
        )

    def start(self):
        options = f"-k {self.folder} -c listen_addresses= -c fsync=off -c max_connections=50"
        self._run("pg_ctl", "start", "-w", "-o", options, "-l", f"{self.folder}/log")

    def stop(self, mode="immediate"):
        """``immediate`` is what a crash of all its processes is."""
        self._run("pg_ctl", "stop", "-m", mode)

    def url(self, database):
        return f"postgresql+psycopg://{self.name}@/{database}?host={self.folder}"

    def execute(self, statement, database="postgres"):
        import psycopg

        where = {"host": str(self.folder), "user": self.name, "dbname": database}
        with psycopg.connect(**where, autocommit=True) as connection:
            connection.execute(statement)

    def new(self, template="template0"):
        """The name of a new database."""
        name = f"test{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def empty(self, database):
        """Take away what a test wrote, which is faster than a new database. The triggers that
        keep the audit log don't run for a replica."""
        statements = [f"DELETE FROM {table}" for table in metadata.tables if table != "changes"]  # noqa: S608
        begin = ["SET session_replication_role = replica", "SET lock_timeout = '5s'"]
        self.execute("; ".join([*begin, *statements, "UPDATE changes SET counter = 0"]), database)


def pem(number=0, **options):
    """A certificate of a test person; without ``emails=`` it is alice@example.org's."""
    _, certificate = rsa_identity(number=number, **options)
    return certificate.public_bytes(Encoding.PEM)


def session(store, name):
    """The secret of a session of somebody, without the work that a password is made to be."""
    people = People(store)
    with store.database.write() as connection:
        return sessions.begin(connection, people.person(name), credentials.now()).token
