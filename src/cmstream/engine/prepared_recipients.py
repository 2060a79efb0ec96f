"""A message's recipients as C takes them: their RSA keys, and the RecipientInfos to fill in."""

from __future__ import annotations

from typing import Any

from ..ciphers import BY_NAME, Mode
from . import gate
from .gate import OCTETS, check_environment, ffi, lib

MODES: dict[Mode, int] = {
    "cbc": lib.MODE_CBC,
    "gcm": lib.MODE_GCM,
    "chacha20-poly1305": lib.MODE_CHACHA20_POLY1305,
}
"""What C calls the modes of the ciphers that are written."""

_PADDINGS = {"pkcs1v15": lib.RSA_PKCS1V15, "oaep-sha256": lib.RSA_OAEP_SHA256}
_LEAST_BITS = 1024
_MOST_EXPONENT = 1 << 64


class RsaKey:
    """An RSA public key prepared for C. Raises ValueError for one that C doesn't take: of less than
    1024 bits or more than 4096, or with an exponent of more than 64."""

    def __init__(self, modulus: int, exponent: int, radixes: int | None = None) -> None:
        """``radixes``: those it is prepared for, as bits; if not given, this machine's."""
        bits = modulus.bit_length()
        odd = modulus % 2 == exponent % 2 == 1
        fits = _LEAST_BITS <= bits <= 8 * lib.RSA_MOST_OCTETS
        if not odd or not fits or not 1 < exponent < _MOST_EXPONENT:
            raise ValueError("C doesn't take such a key")
        radixes = gate.rsa_radixes if radixes is None else radixes
        self.size = (bits + 7) // 8
        self._kept: list[Any] = []  # what the struct points to
        self.struct = ffi.new("struct rsa_key *", {"exponent": exponent, "size": self.size})
        for radix in range(lib.RSA_RADIXES):
            if radixes >> radix & 1:
                self.struct.form[radix] = self._form(modulus, radix)

    def _form(self, modulus: int, radix: int) -> tuple[Any, Any, int, int]:
        """As struct rsa_form says."""
        bits = lib.rsa_digit_bits(radix)
        count = lib.rsa_digits(radix, modulus.bit_length())
        r, limit = 1 << bits * count, 1 << bits
        numbers = [ffi.new("uint64_t[]", _digits(number, bits, count))
                   for number in (modulus, r * r % modulus)]  # fmt: skip
        self._kept += numbers
        return *numbers, -pow(modulus, -1, limit) % limit, count

    def raw(self, row: int, numbers: list[int]) -> list[int]:
        """Each number to the power of the exponent, by one row. For tests."""
        ins = [ffi.new("uint8_t[]", n.to_bytes(self.size, "big")) for n in numbers]
        outs = [ffi.new("uint8_t[]", self.size) for _ in numbers]
        keys = ffi.new("struct rsa_key *[]", [self.struct] * len(numbers))
        lib.rsa_raw(row, keys, ffi.new("uint8_t *[]", ins), ffi.new("uint8_t *[]", outs),
                    len(numbers))  # fmt: skip
        return [int.from_bytes(ffi.buffer(out), "big") for out in outs]


def _digits(number: int, bits: int, count: int) -> list[int]:
    mask = (1 << bits) - 1
    return [number >> bits * i & mask for i in range(count)]


KeySlot = tuple[int, RsaKey, str]
"""Where an encrypted key belongs in the RecipientInfos, the key that encrypts it, and its padding
as a Policy names it."""


class PreparedRecipients:
    """A message's recipients, prepared once for any number of messages.

    ``wraps``: whether C can encrypt the content-encryption key to all of them; else Python writes
    their RecipientInfos, message by message. ``infos_len``: bytes of the RecipientInfos that C
    writes. ``version``: the CMSVersion of the EnvelopedData (RFC 5652 section 6.1). ``cipher``: its
    name in a Policy; ``authenticated``: whether it is one that isn't C's. ``streams``: whether C
    makes all of a stream of content, and ``streams_messages`` of a message.
    """

    def __init__(
        self,
        infos: bytes,
        version: int,
        cipher: str,
        key_slots: list[KeySlot] | None,
        *,
        protects_header: bool = False,
    ) -> None:
        """``infos``: the encoded RecipientInfos, zeros in place of encrypted keys. ``key_slots``:
        one for each recipient, or None if C can't encrypt to all of them. ``protects_header``:
        whether the header block of a message to them isn't cut as C does it."""
        check_environment()
        self.wraps, self.version, self.cipher = key_slots is not None, version, cipher
        slots = key_slots or []
        self._keys = [key for _, key, _ in slots]
        self._infos = ffi.from_buffer(OCTETS, infos)
        self._slots = ffi.new("struct key_slot[]", len(slots))
        for slot, (at, key, padding) in zip(self._slots, slots, strict=True):
            slot.at, slot.key, slot.padding = at, key.struct, _PADDINGS[padding]
        known = BY_NAME[cipher]
        self.authenticated = known.authenticated
        self.streams = self.wraps and not self.authenticated
        self.streams_messages = self.streams and not protects_header
        ways = version, known.key_len, MODES[known.mode], protects_header
        fields = (self._infos, len(infos), self._slots, len(slots), *ways)
        self.struct = ffi.new("struct seal_to *", fields)
        self.infos_len = len(infos) if self.wraps else 0
