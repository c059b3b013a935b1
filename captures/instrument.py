"""The instrument file that plays a capture: gain, level, tone, mix, level match and bypass on the panel.

With a second capture a knob and a voltage fade from one to the other.
"""

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
to = "tone"
words = "From dark to bright; at noon the sound is left as it is."
knob = "knob_3"
cv = "cv_3"
default = 0.5

[[control]]
to = "match"
words = "How closely the captured sound is held to the loudness of the dry one."
cv = "cv_5"
volts = [0, 5]
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


BLEND = """
[[control]]
to = "blend"
words = "From the first capture to the second."
knob = "knob_4"
cv = "cv_4"
volts = [0, 5]
default = 0.0
"""


def _mix(places: str) -> str:
    return f"""
[[control]]
to = "mix"
words = "From the dry sound to the captured one."
{places}
volts = [0, 5]
default = 1.0
"""


def instrument_text(capture: Capture, name: str, second: str | None = None) -> str:
    """Write the instrument file of a capture whose quantized model lies beside it as NAME.int8.onnx.

    Parameters
    ----------
    second : str, optional
        Model file of another capture, beside the instrument's file, that the sound fades to.
    """
    title, about = capture.title or name, f"{capture.format}, {capture.architecture}"
    head = f'title = {json.dumps(title)}\nkind = "drive"\nabout = {json.dumps(about)}\n'
    models = f"[models]\ndrive = {json.dumps(name + '.int8.onnx')}\n"
    if second is None:
        controls = CONTROLS + _mix('knob = "knob_4"\ncv = "cv_4"')
        return f"# A capture: audio through it.\n{head}\n{models}{controls}"
    models += f"second = {json.dumps(second)}\n"
    controls = CONTROLS + BLEND + _mix('cv = "cv_6"')
    return (
        f"# Two captures: audio through both, and a fade from one to the other.\n{head}\n{models}{controls}"
    )
