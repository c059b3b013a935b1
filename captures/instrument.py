"""The instrument file that plays a capture: gain, level, mix, level match and bypass on the panel."""

from __future__ import annotations

import json

from captures.capture import Capture

CONTROLS = """
[[control]]
to = "gain"
words = "How loud the sound goes into the capture: more is dirtier."
knob = "knob_1"
cv = "cv_1"
law = "square"
default = 0.7071          # times one: as it was captured

[[control]]
to = "level"
words = "Loudness of everything that leaves the module."
knob = "knob_2"
cv = "cv_2"
default = 1.0

[[control]]
to = "mix"
words = "From the dry sound to the captured one."
knob = "knob_3"
cv = "cv_3"
volts = [0, 5]
default = 1.0

[[control]]
to = "match"
words = "How closely the captured sound is held to the loudness of the dry one."
knob = "knob_4"
default = 0.0

[[gate]]
to = "bypass"
words = "While it is held, the dry sound is heard."
jack = ["gate_in_1", "button_1"]

[[output]]
jack = "audio_out_1"
words = "The captured sound."
from = "mix"

[[output]]
jack = "audio_out_2"
words = "The captured sound again."
from = "mix"

[[output]]
jack = "cv_out_1"
words = "Loudness of the sound as a voltage, to move something else."
from = "envelope"
"""


def instrument_text(capture: Capture, name: str) -> str:
    """Write the instrument file of a capture whose quantized model lies beside it as NAME.int8.onnx."""
    title, about = capture.title or name, f"{capture.format}, {capture.architecture}"
    head = f'title = {json.dumps(title)}\nkind = "drive"\nabout = {json.dumps(about)}\n'
    models = f"[models]\ndrive = {json.dumps(name + '.int8.onnx')}\n"
    return f"# A capture: audio through it.\n{head}\n{models}{CONTROLS}"
