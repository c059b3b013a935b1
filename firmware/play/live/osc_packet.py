"""What one OSC datagram holds: its messages, and the moment each is meant for.

A bundle's time tag is 32.32 bits of NTP seconds (opensoundcontrol.stanford.edu, OSC 1.0); 1 means "at once".
The bundles are walked here because python-osc sleeps until a tag is due and never comes back from an element
of negative size; the messages in them are python-osc's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

BUNDLE = b"#bundle\0"
HEAD_BYTES = 16
"""A bundle's name and its time tag."""
AT_ONCE = 1
UNIX_EPOCH_S = 2_208_988_800
"""1970 in NTP seconds."""
KNOWN_TYPES = frozenset(b"ihfdsbrmtTFN[]")
"""Types of arguments that python-osc reads."""
NOT_UTF8 = "held text that is not UTF-8 and were left out"
NO_OSC = "were no OSC and were left out"


@dataclass(frozen=True)
class Timed:
    """One message; `at` in seconds since 1970, None for at once."""

    at: float | None
    address: str
    arguments: tuple[Any, ...]


def read_packet(data: bytes) -> tuple[list[Timed], Counter[str]]:
    """Take a datagram apart.

    Returns
    -------
    list of Timed
        In the order of the datagram.
    Counter
        What could not be read: in words, and how many times.
    """
    found: list[Timed] = []
    faults: Counter[str] = Counter()
    open_parts: list[tuple[bytes, float | None]] = [(data, None)]
    while open_parts:
        part, at = open_parts.pop()
        if part.startswith(BUNDLE) and len(part) >= HEAD_BYTES:
            open_parts += reversed(_elements(part, faults))
            continue
        try:
            found.append(_message(part, at))
        except UnicodeDecodeError:
            faults[NOT_UTF8] += 1
        except Exception:
            faults[NO_OSC] += 1
    return found, faults


def _elements(bundle: bytes, faults: Counter[str]) -> list[tuple[bytes, float | None]]:
    tag = int.from_bytes(bundle[8:HEAD_BYTES], "big")
    at = None if tag == AT_ONCE else tag / 2**32 - UNIX_EPOCH_S
    parts: list[tuple[bytes, float | None]] = []
    index = HEAD_BYTES
    while index < len(bundle):
        size = int.from_bytes(bundle[index : index + 4], "big", signed=True)
        begin, index = index + 4, index + 4 + size
        if size <= 0 or index > len(bundle):
            faults[NO_OSC] += 1
            break
        parts.append((bundle[begin:index], at))
    return parts


def _message(data: bytes, at: float | None) -> Timed:
    from pythonosc.osc_message import OscMessage

    if not data.startswith(b"/"):
        raise ValueError("an address begins with a stroke")
    tags = data.find(b",", data.find(b"\0"))
    if tags >= 0 and not KNOWN_TYPES.issuperset(data[tags + 1 :].partition(b"\0")[0]):
        raise ValueError("python-osc would print a warning of every such message")
    message = OscMessage(data)
    return Timed(at, message.address, tuple(message.params))
