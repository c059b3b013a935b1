"""A preset that `vaectrol match` found, as a script that strikes it four times.

python examples/strike_preset.py matched/kick.preset.json strikes.csv
"""

import csv
import json
import sys
from pathlib import Path

preset, script = (Path(name) for name in sys.argv[1:3])
positions = json.loads(preset.read_text())["parameters"]
with script.open("w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["time", "gate_in_1", *positions])
    for number in range(4):
        writer.writerow([0.1 + 0.5 * number, 1, *positions.values()])
        writer.writerow([0.11 + 0.5 * number, 0, *positions.values()])
