"""What RTNeural's and Proteus' JSON mean, in float64 numpy, straight from the JSON: nothing of ours is used.

Sample by sample, as those programs run: state that goes from one sample to the next starts at zero.
"""

import numpy as np


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


CURVES = {
    "": lambda x: x,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": sigmoid,
    "elu": lambda x: np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1),
}


def dense(layer):
    weight = np.array(layer["weights"][0])
    bias = np.array(layer["weights"][1]) if len(layer["weights"]) > 1 else 0.0
    return lambda x: CURVES[layer["activation"]](x @ weight + bias)


def conv(layer):
    weight, bias = np.array(layer["weights"][0]), np.array(layer["weights"][1])
    taps, per_group, outputs = weight.shape
    dilation, groups = layer["dilation"][-1], layer.get("groups", 1)
    past = [np.zeros(per_group * groups) for _ in range((taps - 1) * dilation + 1)]

    def step(x):
        past.append(x)
        past.pop(0)
        out = bias.copy()
        for k in range(taps):
            then = past[-1 - (taps - 1 - k) * dilation]
            for o in range(outputs):
                group = o // (outputs // groups)
                out[o] += weight[k, :, o] @ then[group * per_group : (group + 1) * per_group]
        return CURVES[layer["activation"]](out)

    return step


def lstm(layer):
    weight, recurrent, bias = (np.array(w) for w in layer["weights"])
    state = {"h": np.zeros(recurrent.shape[0]), "c": np.zeros(recurrent.shape[0])}

    def step(x):
        i, f, g, o = np.split(x @ weight + state["h"] @ recurrent + bias, 4)
        state["c"] = sigmoid(f) * state["c"] + sigmoid(i) * np.tanh(g)
        state["h"] = sigmoid(o) * np.tanh(state["c"])
        return state["h"]

    return step


def gru(layer):
    weight, recurrent, bias = (np.array(w) for w in layer["weights"])
    state = {"h": np.zeros(recurrent.shape[0])}

    def step(x):
        h = state["h"]
        xz, xr, xn = np.split(x @ weight + bias[0], 3)
        hz, hr, hn = np.split(h @ recurrent + bias[1], 3)
        z, n = sigmoid(xz + hz), np.tanh(xn + sigmoid(xr + hr) * hn)
        state["h"] = (1 - z) * n + z * h
        return state["h"]

    return step


def prelu(layer):
    slopes = np.array(layer["weights"][0][0])
    return lambda x: np.where(x >= 0, x, slopes * x)


def batchnorm(layer):
    tables = [np.array(w) for w in layer["weights"]]
    gain, offset = tables[:2] if len(tables) == 4 else (1.0, 0.0)
    mean, variance = tables[-2:]
    return lambda x: (x - mean) / np.sqrt(variance + layer["epsilon"]) * gain + offset


LAYERS = {
    "dense": dense,
    "time-distributed-dense": dense,
    "conv1d": conv,
    "lstm": lstm,
    "gru": gru,
    "prelu": prelu,
    "batchnorm": batchnorm,
    "activation": lambda layer: CURVES[layer["activation"]],
}


def rtneural(document, x):
    """Play a signal [1, samples] through the file."""
    steps = [LAYERS[layer["type"]](layer) for layer in document["layers"]]
    gain, level = (10 ** (document.get(key, 0.0) / 20) for key in ("in_gain", "out_gain"))
    out = []
    for sample in x[0] * gain:
        value = np.array([sample])
        for step in steps:
            value = step(value)
        out.append((value[0] + (sample if document.get("in_skip") else 0.0)) * level)
    return np.array(out)[None]


def proteus(document, x):
    """Play a signal [1, samples] through the file: PyTorch's order of gates."""
    shape, tables = document["model_data"], document["state_dict"]
    hidden, count = shape["hidden_size"], shape["num_layers"]
    states = [[np.zeros(hidden), np.zeros(hidden)] for _ in range(count)]
    out = []
    for sample in x[0]:
        value = np.array([sample])
        for index, state in enumerate(states):
            parts = [
                np.array(tables[f"rec.{name}_l{index}"])
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            ]
            from_x, from_h = parts[0] @ value + parts[2], parts[1] @ state[0] + parts[3]
            if shape["unit_type"] == "LSTM":
                i, f, g, o = np.split(from_x + from_h, 4)
                state[1] = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
                state[0] = sigmoid(o) * np.tanh(state[1])
            else:
                (xr, xz, xn), (hr, hz, hn) = np.split(from_x, 3), np.split(from_h, 3)
                z = sigmoid(xz + hz)
                state[0] = (1 - z) * np.tanh(xn + sigmoid(xr + hr) * hn) + z * state[0]
            value = state[0]
        made = np.array(tables["lin.weight"]) @ value + np.array(tables["lin.bias"])
        out.append(made[0] + (sample if shape["skip"] else 0.0))
    return np.array(out)[None]
