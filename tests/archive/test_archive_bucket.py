"""Archives in buckets, against moto's server as a process of its own."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest

from cmstream.archive.bucket import BucketArchive, BucketTarget
from cmstream.archive.errors import ArchiveError
from cmstream.archive.folder import Sealed
from cmstream.archive.opening import open_archive
from cmstream.archive.verifying import verify
from helpers.archives import BARE, MAIL, SECRET, archived, mbox, numbered, tar, tree, write
from helpers.bucket import objects, server

LONG = 5 << 20


@pytest.fixture(scope="module")
def moto():
    with server() as found:
        yield found


@pytest.fixture
def client(moto, monkeypatch):
    environment, made = moto
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def bucket(client, request):
    name = f"b{abs(hash(request.node.name))}"
    client.create_bucket(Bucket=name)
    return name


CONTENTS = {
    "plain.txt": SECRET, "empty": b"", "a/b c%.eml": MAIL, "a/m.EML": BARE,
    "long": b"x" * (2 * LONG) + SECRET, "ümlaut~#?&+=@^`{}[]<>\\|\"'": b"odd",
    "inbox": mbox(BARE, MAIL.replace(b"\r", b"")), "t.tar": tar([("x.eml", MAIL), ("y", b"1")]),
}  # fmt: skip
SAME = {name: data for name, data in CONTENTS.items() if name not in {"inbox", "t.tar"}}


def check(client, bucket, me, out, same):
    """The archive is whole, nothing in it is readable, and it opens to what was sealed."""
    target = f"s3://{bucket}/sealed"
    assert verify(target, processes=1).clean
    found = objects(client, bucket, "sealed")
    assert not [key for key, data in found.items() if SECRET in data]
    assert "sealed/.cmstream/lock" not in found
    report = open_archive(target, str(out), me)
    assert report.clean, report.as_document()
    assert same.items() <= tree(out).items()


def test_from_a_folder(client, bucket, tmp_path, alice, me):
    for name, data in CONTENTS.items():
        write(tmp_path / "source" / name, data)
    target = f"s3://{bucket}/sealed"
    report = archived(tmp_path / "source", target, alice, processes=2)
    assert report.clean
    assert report.done == len(SAME) + 4
    same = {b"source/" + name.encode(): data for name, data in SAME.items()}
    check(client, bucket, me, tmp_path / "out", same)
    before = objects(client, bucket)
    assert archived(tmp_path / "source", target, alice).known == report.done
    assert objects(client, bucket) == before


def test_from_a_bucket(client, bucket, tmp_path, alice, me):
    for name, data in CONTENTS.items():
        client.put_object(Bucket=bucket, Key=f"in/{name}", Body=data)
    client.put_object(Bucket=bucket, Key="in/folder/", Body=b"")
    report = archived(f"s3://{bucket}/in/", f"s3://{bucket}/sealed", alice)
    assert report.left == {"special-file": 1}
    assert report.done == len(SAME) + 4
    same = {b"in/" + name.encode(): data for name, data in SAME.items()}
    check(client, bucket, me, tmp_path / "out", same)
    assert archived(f"s3://{bucket}/in/", f"s3://{bucket}/sealed", alice).known == report.done


def test_one_object(client, bucket, tmp_path, alice, me):
    client.put_object(Bucket=bucket, Key="a/inbox", Body=CONTENTS["inbox"])
    assert archived(f"s3://{bucket}/a/inbox", str(tmp_path / "sealed"), alice).done == 2
    assert verify(str(tmp_path / "sealed"), processes=1).done == 2


def test_a_changed_object_is_sealed_again_by_update(client, bucket, tmp_path, alice, me):
    numbered(tmp_path / "source", 4)
    target = f"s3://{bucket}/sealed"
    archived(tmp_path / "source", target, alice)
    write(tmp_path / "source/0/0.txt", b"changed")
    assert archived(tmp_path / "source", target, alice).left == {"changed": 1}
    assert archived(tmp_path / "source", target, alice, update=True).done == 1
    check(client, bucket, me, tmp_path / "out", {b"source/0/0.txt": b"changed"})


def test_nothing_is_put_over_something_else(client, bucket):
    target = BucketTarget(f"s3://{bucket}/x")
    assert target.publish([Sealed("a", b"1", replace=False)]) == [None]
    (failure,) = target.publish([Sealed("a", b"2", replace=False)])
    assert isinstance(failure, FileExistsError)
    with pytest.raises(FileExistsError):
        target.put("a", iter([b"3"]), replace=False, size=1)
    assert objects(client, bucket) == {"x/a": b"1"}
    assert target.publish([Sealed("a", b"4", replace=True)]) == [None]
    target.put("b", iter([b"5" * LONG] * 3), replace=False, size=3 * LONG)
    assert objects(client, bucket) == {"x/a": b"4", "x/b": b"5" * 3 * LONG}


def test_a_long_object_that_fails_never_appears(client, bucket):
    def pieces():
        yield b"x" * (3 * LONG)
        raise KeyError("in the middle")

    with pytest.raises(KeyError, match="in the middle"):
        BucketTarget(f"s3://{bucket}").put("a", pieces(), replace=False, size=4 * LONG)
    assert objects(client, bucket) == {}
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)


def test_a_bucket_that_holds_something_is_refused(client, bucket, tmp_path, alice):
    numbered(tmp_path / "source", 2)
    client.put_object(Bucket=bucket, Key="mine", Body=b"x")
    with pytest.raises(ArchiveError) as caught:
        archived(tmp_path / "source", f"s3://{bucket}", alice)
    assert caught.value.code == "not-empty"
    assert objects(client, bucket) == {"mine": b"x"}


def test_no_bucket(client, tmp_path, alice):
    numbered(tmp_path / "source", 2)
    with pytest.raises(ArchiveError) as caught:
        archived(tmp_path / "source", "s3://no-such-bucket", alice)
    assert caught.value.code == "unreachable"
    with pytest.raises(ArchiveError) as caught:
        archived(tmp_path / "source", "gopher://x", alice)
    assert caught.value.code == "unsupported-place"


def test_what_verify_finds(client, bucket, tmp_path, alice):
    numbered(tmp_path / "source", 4)
    target = f"s3://{bucket}/sealed"
    archived(tmp_path / "source", target, alice)
    key = "sealed/source/0/0.txt.p7m"
    data = objects(client, bucket)[key]
    client.put_object(Bucket=bucket, Key=key, Body=data[:-1])
    client.put_object(Bucket=bucket, Key="sealed/more", Body=b"")
    client.delete_object(Bucket=bucket, Key="sealed/source/1/1.eml")
    assert verify(target, processes=1).left == {"truncated": 1, "unknown-file": 1, "missing": 1}
    (part,) = objects(client, bucket, "sealed/.cmstream/manifest/")
    whole = objects(client, bucket)[part]
    for damage in (b"", b"no gzip", whole[:-9], *map(gzip.compress, odd(gzip.decompress(whole)))):
        client.put_object(Bucket=bucket, Key=part, Body=damage)
        with pytest.raises(ArchiveError) as caught:
            verify(target, processes=1)
        assert caught.value.code == "damaged-manifest"


def odd(document):
    """Manifests that can be read, and whose values can't be right."""
    found = json.loads(document)
    yield from (b"7", b"[]", b"[" * 100_000, json.dumps(found | {"who": 7}).encode())
    row = found["rows"][0]
    for place in range(len(row)):
        for value in ([], 1 << 70, None if place != 1 else {}, "\ud800"):
            rows = [[*row[:place], value, *row[place + 1 :]]]
            if place != len(row) - 1:  # the recipients' number is another one in each manifest
                yield json.dumps(found | {"rows": rows}).encode()


def test_one_run_at_a_time(client, bucket, tmp_path, alice):
    numbered(tmp_path / "source", 2)
    target = f"s3://{bucket}/sealed"
    with BucketArchive(target).locked():
        with pytest.raises(ArchiveError) as caught:
            archived(tmp_path / "source", target, alice)
        assert caught.value.code == "busy"
        assert archived(tmp_path / "source", target, alice, take_over=True).done == 2


def test_who_lost_the_lock_does_not_give_it_up(bucket):
    target = f"s3://{bucket}/sealed"
    with ExitStack() as first:
        first.enter_context(BucketArchive(target).locked())
        with BucketArchive(target).locked(take_over=True):
            first.close()
            with pytest.raises(ArchiveError, match="works on this archive"):
                BucketArchive(target).locked().__enter__()
        with BucketArchive(target).locked():
            pass


@pytest.mark.slow
def test_a_killed_run_goes_on(client, bucket, tmp_path, alice, me):
    """Its lock names a process of this machine that has ended."""
    numbered(tmp_path / "source", 300)
    write(tmp_path / "source/long", b"x" * (8 * LONG))
    (tmp_path / "alice.pem").write_bytes(alice.recipient.pem)
    target = f"s3://{bucket}/sealed"
    words = ["archive", "seal", "--to", tmp_path / "alice.pem", tmp_path / "source", target]
    kills = 0
    for wait in (1.0, 1.3, 1.6, 2.0, 2.5, 3.0):
        process = subprocess.Popen(
            [sys.executable, "-m", "cmstream", *words], start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(wait)
        if process.poll() is None:
            kills += 1
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert kills
    report = archived(tmp_path / "source", target, alice)
    assert report.done + report.known == 301
    same = {b"source/" + name: data for name, data in tree(tmp_path / "source").items()}
    check(client, bucket, me, tmp_path / "out", same)
    assert len(objects(client, bucket, "sealed/source/")) == 301
