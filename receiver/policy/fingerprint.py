"""Which number does Prometheus give to a set of labels?"""

from collections.abc import Mapping

OFFSET = 0xCBF29CE484222325
PRIME = 0x100000001B3
SEPARATOR = b"\xff"  # never part of UTF-8, so "ab"+"c" and "a"+"bc" differ
MASK = 2**64 - 1


def fingerprint(labels: Mapping[str, str]) -> str:
    """Return the fingerprint of the labels, as Alertmanager writes it: 16 hexadecimal digits."""
    digest = OFFSET
    for part in sorted((_bytes(name), _bytes(value)) for name, value in labels.items()):
        for byte in part[0] + SEPARATOR + part[1] + SEPARATOR:
            digest = ((digest ^ byte) * PRIME) & MASK
    return f"{digest:016x}"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # a broken string still has a fingerprint
