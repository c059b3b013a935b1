"""How an instrument is set in motion, by the words of its name."""

from __future__ import annotations

import re

BY_WORD = {
    "pluck": (
        "banjo bass clavinet dulcimer guitar harp harpsichord koto lute mandolin pizzicato plucked shamisen "
        "sitar ukulele"
    ),
    "bow": "bowed arco cello contrabass fiddle strings viola violin",
    "blow": (
        "accordion bassoon blown brass clarinet flute harmonica horn oboe ocarina organ recorder sax "
        "saxophone trombone trumpet tuba whistle"
    ),
    "strike": ("bell celesta glockenspiel kalimba marimba piano rhodes struck vibraphone xylophone"),
}
EVENT_OF = {word: event for event, words in BY_WORD.items() for word in words.split()}


def event_of(label: str) -> str:
    """The event that begins a note of an instrument; "" where no word says.

    Where several do, the last counts: "bass-bowed" is bowed.
    """
    found = [EVENT_OF[word] for word in re.split(r"[^a-z]+", label.lower()) if word in EVENT_OF]
    return found[-1] if found else ""
