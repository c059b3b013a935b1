"""A drum instrument in 20 lines: make toy sounds, train on them, export, and play what was learnt.

Run it as ``python examples/toy_drum.py OUT [STEPS]``. It takes about two minutes and writes ``OUT/drum.wav``.
"""

import sys
from pathlib import Path

import vaectrol
from toy.make import make_drums
from train.data.prepare import prepare
from train.data.store import DataSet
from train.fit import fit
from train.kinds import load_recipe

out, steps = Path(sys.argv[1]), int((sys.argv[2:] or ["300"])[0])

make_drums(out / "sounds", items=200, seed=1)
prepare("drum", out / "sounds", out / "data")
recipe = load_recipe("drum_quick", [f"fit.steps={steps}", f"fit.interval={min(steps, 50)}"])
run = fit(recipe, DataSet.open(out / "data"), out / "run")  # the run holds the exported model too
model = next(path for path in run.glob("*.onnx") if ".encoder." not in path.name)

script = out / "moves.csv"
script.write_text("time,gate_in_1,knob_1,knob_2\n0,1,0,0.5\n0.1,0,0,0.5\n0.5,1,0.5,0.2\n0.6,0,0.5,0.2\n")
words = f"play drum --cv {script} --model drum={model} -o {out / 'drum.wav'}".split()
sys.exit(vaectrol.main(words))
