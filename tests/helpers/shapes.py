"""Every shape of opening behind one face: sealed octets and identities in, content out. For tests
alone."""

from __future__ import annotations

import io

import cmstream

WEAK_TOO = cmstream.DEFAULT.clone(warn=frozenset())


class StandIn:
    """A key somewhere else: it decrypts, and is asked for nothing more."""

    def __init__(self, key, meanwhile=lambda: None):
        self.key, self.meanwhile, self.calls = key, meanwhile, 0

    def decrypt(self, ciphertext, padding):
        self.calls += 1
        self.meanwhile()
        return self.key.decrypt(ciphertext, padding)


def pieces(octets, cut):
    return [octets[i : i + cut] for i in range(0, len(octets), cut)]


def pushed(parts, identities, **options):
    context = cmstream.decryptor(identities, **options)
    return b"".join([*map(context.update, parts), context.finalize()])


def into(sealed, identities):
    """With exactly as much room as is asked for."""
    context, out = cmstream.decryptor(identities), b""
    for part in pieces(sealed, 1000):
        buffer = bytearray(context.bound(len(part)))
        out += buffer[: context.update_into(part, buffer)]
    buffer = bytearray(context.bound(0))
    return out + buffer[: context.finalize_into(buffer)]


def written(sealed, identities):
    sink = io.BytesIO()
    with cmstream.DecryptWriter(sink, identities) as out:
        assert out.write(sealed) == len(sealed)
    return sink.getvalue()


SHAPES = {
    "one-shot": cmstream.decrypt,
    "push": lambda sealed, who: pushed(pieces(sealed, 997), who),
    "into": into,
    "writer": written,
    "reader": lambda sealed, who: cmstream.DecryptReader(io.BytesIO(sealed), who).read(),
    "iterator": lambda sealed, who: b"".join(cmstream.decrypt_iter(pieces(sealed, 33), who)),
    "many": lambda sealed, who: cmstream.decrypt_many([(sealed, who)], form="content")[0],
}
