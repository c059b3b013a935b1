"""Capture files with random weights, of every shape that the formats know."""

import numpy as np

from tests.captures import nam_reference


class Endless(nam_reference.List):
    """Weights that are made up as they are asked for, and remembered."""

    def __init__(self, seed):
        self.random, self.left, self.given = np.random.default_rng(seed), [], []

    def pop(self, count):
        values = np.float32(self.random.uniform(-0.4, 0.4, count)).astype(np.float64)
        self.given += values.tolist()
        return values


def nam(architecture, config, seed=0, version="0.5.4", **more):
    """A .nam document; the reference says how many weights it takes."""
    weights = Endless(seed)
    silence = np.zeros((1, 1))
    shapes = {
        "WaveNet": nam_reference.wavenet,
        "LSTM": nam_reference.lstm,
        "ConvNet": nam_reference.convnet,
        "Linear": nam_reference.linear,
    }
    shapes[architecture](config, weights, silence)
    return {
        "version": version,
        "architecture": architecture,
        "config": config,
        "weights": weights.given,
        "sample_rate": 48000,
        **more,
    }


def array(inputs, channels, head, dilations, **more):
    """One array of an A1 WaveNet."""
    return {
        "input_size": inputs,
        "condition_size": 1,
        "head_size": head,
        "channels": channels,
        "kernel_size": 3,
        "dilations": dilations,
        "activation": "Tanh",
        "gated": False,
        "head_bias": False,
        **more,
    }


def wavenet(*arrays, seed=0, **more):
    """A WaveNet of arrays."""
    config = {"layers": list(arrays), "head": None, "head_scale": 0.02, **more}
    return nam("WaveNet", config, seed)


FILM = {"active": True, "shift": True, "groups": 1}
OFF = {"active": False, "shift": True, "groups": 1}
A2 = {
    "input_size": 1,
    "condition_size": 1,
    "head": {"out_channels": 1, "kernel_size": 16, "bias": True},
    "channels": 3,
    "kernel_sizes": [6, 6, 15],
    "dilations": [1, 7, 13],
    "activation": [{"type": "LeakyReLU", "negative_slope": 0.01}] * 3,
    "bottleneck": 3,
    "head1x1": {"active": False, "out_channels": 1, "groups": 1},
    "layer1x1": {"active": True, "groups": 1},
    "conv_pre_film": OFF,
    "gating_mode": ["none"] * 3,
    "secondary_activation": [None] * 3,
}
EVERYTHING = {
    **array(1, 4, 4, [1, 3, 5]),
    "gated": None,
    "bottleneck": 2,
    "groups_input": 2,
    "groups_input_mixin": 1,
    "head1x1": {"active": True, "out_channels": 4, "groups": 2},
    "layer1x1": {"active": True, "groups": 2},
    "activation": [{"type": "PReLU", "negative_slopes": [0.04, 0.05]}, "Softsign", {"type": "SiLU"}],
    "gating_mode": ["blended", "gated", "blended"],
    "secondary_activation": [
        {"type": "LeakyHardtanh", "min_val": 0.0, "max_val": 0.9, "min_slope": 0.0, "max_slope": 0.02},
        "Hardswish",
        "Sigmoid",
    ],
    **dict.fromkeys(
        (
            "conv_pre_film",
            "conv_post_film",
            "input_mixin_pre_film",
            "activation_post_film",
            "head1x1_post_film",
        ),
        FILM,
    ),
    "input_mixin_post_film": {**FILM, "shift": False},
    "activation_pre_film": {**FILM, "shift": False},
}


def with_condition():
    """A WaveNet whose condition is made by another one."""
    inner = wavenet(array(1, 3, 2, [1, 2]), seed=5)
    outer = wavenet(array(1, 4, 1, [1, 4], condition_size=2), seed=6, condition_dsp=inner)
    return outer


NAM = {
    "A1": wavenet(array(1, 4, 2, [1, 2, 8]), array(4, 2, 1, [3, 1], head_bias=True)),
    "A1 gated": wavenet(array(1, 3, 1, [1, 2], gated=True)),
    "A1 with a head": wavenet(
        array(1, 4, 2, [1, 2]),
        head={"channels": 3, "out_channels": 1, "kernel_sizes": [2, 3], "activation": "ReLU"},
    ),
    "A2": wavenet(A2),
    "everything": wavenet(EVERYTHING, array(4, 4, 1, [2], head_bias=True, kernel_size=2)),
    "a condition of its own": with_condition(),
    "LSTM": nam("LSTM", {"input_size": 1, "hidden_size": 5, "num_layers": 2}),
    "ConvNet": nam(
        "ConvNet", {"channels": 4, "dilations": [1, 2, 4], "batchnorm": False, "activation": "Tanh"}
    ),
    "Linear": nam("Linear", {"receptive_field": 7, "bias": True}),
}


def tables(seed, *shapes):
    """Random weights as lists."""
    random = np.random.default_rng(seed)
    return [np.float32(random.uniform(-0.5, 0.5, shape)).astype(float).tolist() for shape in shapes]


def layer(kind, outputs, *shapes, activation="", seed=1, **more):
    """One layer of RTNeural's JSON."""
    return {
        "type": kind,
        "activation": activation,
        "shape": [None, None, outputs],
        "weights": tables(seed, *shapes),
        **more,
    }


def positive(found):
    """The variance of a normalisation is positive."""
    found["weights"][-1] = np.abs(found["weights"][-1]).tolist()
    return found


def rtneural(*layers, **more):
    """A document of layers."""
    return {"in_shape": [None, None, 1], "layers": list(layers), **more}


RTNEURAL = {
    "LSTM": rtneural(
        layer("lstm", 4, (1, 16), (4, 16), (16,)),
        layer("dense", 1, (4, 1), (1,)),
        in_skip=1,
        in_gain=3.0,
        out_gain=-6.0,
        metadata={"name": "clean", "samplerate": "48000", "author": "someone", "license": "CC0", "esr": 0.1},
    ),
    "GRU": rtneural(
        layer("time-distributed-dense", 3, (1, 3), (3,), activation="tanh"),
        layer("gru", 4, (3, 12), (4, 12), (2, 12), activation="tanh", seed=2),
        layer("dense", 1, (4, 1), activation="sigmoid", seed=3),
    ),
    "convolutions": rtneural(
        layer("dense", 4, (1, 4), (4,), activation="elu"),
        layer("conv1d", 6, (3, 2, 6), (6,), activation="tanh", kernel_size=[3], dilation=[2], groups=2),
        positive(layer("batchnorm", 6, (6,), (6,), (6,), (6,), epsilon=0.01)),
        layer("prelu", 6, (1, 6)),
        layer("activation", 6, activation="relu"),
        layer("dense", 1, (6, 1), (1,)),
    ),
}


def proteus(unit, hidden=4, layers=1, skip=1, has_bias=True):
    """A document of PyTorch's tables."""
    rows, inputs, state = {"LSTM": 4, "GRU": 3}[unit] * hidden, 1, {}
    for index in range(layers):
        shapes = {
            "weight_ih": (rows, inputs),
            "weight_hh": (rows, hidden),
            "bias_ih": (rows,),
            "bias_hh": (rows,),
        }
        for number, (name, shape) in enumerate(shapes.items()):
            if has_bias or not name.startswith("bias"):
                state[f"rec.{name}_l{index}"] = tables(10 * index + number, shape)[0]
        inputs = hidden
    state["lin.weight"], state["lin.bias"] = tables(7, (1, hidden), (1,))
    shape = {
        "model": "SimpleRNN",
        "input_size": 1,
        "skip": skip,
        "output_size": 1,
        "unit_type": unit,
        "num_layers": layers,
        "hidden_size": hidden,
        "bias_fl": has_bias,
    }
    return {"model_data": shape, "state_dict": state}


PROTEUS = {
    "LSTM": proteus("LSTM"),
    "LSTM of two layers": proteus("LSTM", layers=2, skip=0),
    "GRU": proteus("GRU"),
}
