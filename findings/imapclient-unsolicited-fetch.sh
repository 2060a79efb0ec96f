#!/bin/sh
# IMAPClient gives a message the flags of another one.
#
# Tried: IMAPClient 4.1.0 on Python 3.11, with a server of a few lines that this script makes.
#
# Behaviour: fetch() asks by UID and gives its answers by UID. A server may put a word about another
# message between them, as it does when somebody else changes flags: a FETCH response with a sequence
# number and without a UID. IMAPClient takes this number for a UID. Where a message with that UID was
# asked for, the other message's flags take the place of its own.
#
# An expert expects an answer without a UID to be left out of answers by UID, or to be found by its
# sequence number: only responses that UID FETCH causes must have the UID (RFC 3501 section 6.4.8),
# and a server may send others at any time (section 7).
#
# What follows: whoever copies flags from one message to another, as for putting a sealed one in the
# place of a readable one, compares the UID in the response itself.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check IMAPClient==4.1.0

cat > try.py <<'PY'
import socket
import threading

import imapclient

ANSWERS = {
    b"UID": b'* 2 FETCH (UID 5 FLAGS (\\Seen))\r\n* 5 FETCH (FLAGS (\\Deleted))\r\n',
    b"SELECT": b"* 5 EXISTS\r\n* OK [UIDVALIDITY 1] valid\r\n",
    b"CAPABILITY": b"* CAPABILITY IMAP4rev1\r\n",
}


def serve(listener):
    connection, _ = listener.accept()
    with connection, connection.makefile("rb") as lines:
        connection.sendall(b"* OK ready\r\n")
        for line in lines:
            tag, word = line.split()[:2]
            connection.sendall(ANSWERS.get(word.upper(), b"") + tag + b" OK done\r\n")


listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=serve, args=(listener,), daemon=True).start()
client = imapclient.IMAPClient("127.0.0.1", listener.getsockname()[1], ssl=False)
client.login("alice", "x")
client.select_folder("INBOX")
flags = client.fetch([5], ["FLAGS"])[5][b"FLAGS"]
print("the server says: UID 5 is the second message, \\Seen; the fifth message is \\Deleted")
print("fetch([5]) says: UID 5 is", b" ".join(flags).decode())
raise SystemExit(flags != (b"\\Deleted",))
PY
venv/bin/python try.py

# Seen:
# the server says: UID 5 is the second message, \Seen; the fifth message is \Deleted
# fetch([5]) says: UID 5 is \Deleted
