"""Which drums of a General MIDI soundfont are rendered: its kits, its keys, and how hard they are struck.

Keys are those of General MIDI (General MIDI System Level 1, MMA 1991); programs of bank 128 are those that
Roland's GS gave to kits. A key that a kit does not fill is silent and left out; one that a kit shares with
another is the same sound, and only its first is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

KITS = {
    0: "standard",
    8: "room",
    16: "power",
    24: "electronic",
    25: "tr808",
    32: "jazz",
    40: "brush",
    48: "orchestra",
}
"""Programs and the names of their kits."""

VELOCITIES = (32, 64, 96, 127)
"""How hard each drum is struck; soundfonts change the sound with it, not only the level."""


@dataclass(frozen=True)
class Key:
    """A drum of the map: its class and its own name."""

    label: str
    name: str


KEYS = {
    35: Key("kick", "kick-acoustic"),
    36: Key("kick", "kick-one"),
    37: Key("perc", "side-stick"),
    38: Key("snare", "snare-acoustic"),
    39: Key("clap", "clap"),
    40: Key("snare", "snare-electric"),
    41: Key("tom", "floor-low"),
    42: Key("hat_closed", "hat-closed"),
    43: Key("tom", "floor-high"),
    44: Key("hat_closed", "hat-pedal"),
    45: Key("tom", "tom-low"),
    46: Key("hat_open", "hat-open"),
    47: Key("tom", "tom-low-mid"),
    48: Key("tom", "tom-high-mid"),
    49: Key("cymbal", "crash-one"),
    50: Key("tom", "tom-high"),
    51: Key("cymbal", "ride-one"),
    52: Key("cymbal", "china"),
    53: Key("cymbal", "ride-bell"),
    54: Key("perc", "tambourine"),
    55: Key("cymbal", "splash"),
    56: Key("perc", "cowbell"),
    57: Key("cymbal", "crash-two"),
    59: Key("cymbal", "ride-two"),
    60: Key("perc", "bongo-high"),
    61: Key("perc", "bongo-low"),
    62: Key("perc", "conga-mute"),
    63: Key("perc", "conga-open"),
    64: Key("perc", "conga-low"),
    65: Key("perc", "timbale-high"),
    66: Key("perc", "timbale-low"),
    67: Key("perc", "agogo-high"),
    68: Key("perc", "agogo-low"),
    69: Key("perc", "cabasa"),
    70: Key("perc", "maracas"),
    75: Key("perc", "claves"),
    76: Key("perc", "block-high"),
    77: Key("perc", "block-low"),
    80: Key("perc", "triangle-mute"),
    81: Key("perc", "triangle-open"),
}
"""Drums by their key; whistles, guiros and vibraslaps are left out, for they are no strokes."""

# Kits of the orchestra put timpani and concert drums on other keys.
ORCHESTRA_KEYS = {
    35: Key("kick", "concert-drum"),
    36: Key("kick", "concert-drum-soft"),
    38: Key("snare", "concert-snare"),
    39: Key("clap", "castanets"),
    40: Key("snare", "concert-snare-hard"),
    **{key: Key("tom", f"timpani-{key}") for key in range(41, 54)},
    57: Key("cymbal", "concert-cymbals-two"),
    59: Key("cymbal", "concert-cymbals-one"),
}


def keys_of(program: int) -> dict[int, Key]:
    """Drums of a kit."""
    return ORCHESTRA_KEYS if program == 48 else KEYS
