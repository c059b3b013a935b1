"""What a ``.nam`` file means, in float64 numpy, straight from its JSON: nothing of ours is used.

Written from the description of the format (NeuralAmpModelerCore's pages and the order of its weights), signal
by signal, [channels, samples], with zeros before the first sample.
"""

import numpy as np


class List:
    """The file's weights; the next ones are popped."""

    def __init__(self, weights):
        self.left = [float(w) for w in weights]

    def pop(self, count):
        taken, self.left = self.left[:count], self.left[count:]
        assert len(taken) == count
        return np.array(taken)


def late(x, samples):
    """A signal some samples later."""
    return np.concatenate([np.zeros((x.shape[0], samples)), x], axis=1)[:, : x.shape[1]]


class Filter:
    """A grouped, dilated, causal convolution."""

    def __init__(self, weights, inputs, outputs, taps, has_bias, dilation=1, groups=1):
        self.dilation = dilation
        self.matrices = np.zeros((taps, outputs, inputs))
        for group in range(groups):
            for row in range(outputs // groups):
                for column in range(inputs // groups):
                    values = weights.pop(taps)
                    i, j = group * (outputs // groups) + row, group * (inputs // groups) + column
                    self.matrices[:, i, j] = values
        self.bias = weights.pop(outputs) if has_bias else np.zeros(outputs)

    def __call__(self, x):
        last = len(self.matrices) - 1
        total = sum(m @ late(x, (last - k) * self.dilation) for k, m in enumerate(self.matrices))
        return total + self.bias[:, None]


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def function(found):
    """An activation by its entry in the file."""
    name = found if isinstance(found, str) else found["type"]
    given = {} if isinstance(found, str) else found
    if name == "PReLU":
        slopes = np.array(given.get("negative_slopes", [given.get("negative_slope", 0.01)]))[:, None]
        return lambda x: np.where(x > 0, x, slopes * x)
    if name in ("LeakyHardtanh", "LeakyHardTanh"):
        low, high = given.get("min_val", -1.0), given.get("max_val", 1.0)
        under, over = given.get("min_slope", 0.01), given.get("max_slope", 0.01)
        return lambda x: np.where(
            x < low, (x - low) * under + low, np.where(x > high, (x - high) * over + high, x)
        )
    slope = given.get("negative_slope", 0.01)
    return {
        "Tanh": np.tanh,
        "Sigmoid": sigmoid,
        "ReLU": lambda x: np.maximum(x, 0),
        "LeakyReLU": lambda x: np.where(x > 0, x, slope * x),
        "Hardtanh": lambda x: np.clip(x, -1, 1),
        "SiLU": lambda x: x * sigmoid(x),
        "Hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
        "Softsign": lambda x: x / (1 + np.abs(x)),
    }[name]


class Film:
    def __init__(self, weights, condition, size, entry):
        self.size = size
        self.shifts = entry.get("shift", True)
        self.dense = Filter(weights, condition, size * (2 if self.shifts else 1), 1, True)

    def __call__(self, x, condition):
        made = self.dense(condition)
        return x * made[: self.size] + (made[self.size :] if self.shifts else 0)


def entry(config, key, index):
    found = config.get(key)
    return found[index] if isinstance(found, list) else found


class Layer:
    def __init__(self, config, index, weights):
        channels, condition = config["channels"], config["condition_size"]
        inner = config.get("bottleneck", channels)
        self.inner = inner
        self.mode = entry(config, "gating_mode", index) or ("gated" if config.get("gated") else "none")
        wide = inner * (1 if self.mode == "none" else 2)
        taps = config["kernel_sizes"][index] if "kernel_sizes" in config else config["kernel_size"]
        groups = config.get("groups_input", 1)
        self.conv = Filter(weights, channels, wide, taps, True, config["dilations"][index], groups)
        self.mix = Filter(weights, condition, wide, 1, False, 1, config.get("groups_input_mixin", 1))
        back = config.get("layer1x1", {"active": True, "groups": 1})
        self.back = Filter(weights, inner, channels, 1, True, 1, back["groups"]) if back["active"] else None
        head = config.get("head1x1", {"active": False})
        self.head = (
            Filter(weights, inner, head["out_channels"], 1, True, 1, head["groups"])
            if head["active"]
            else None
        )
        sizes = {
            "conv_pre_film": channels,
            "conv_post_film": wide,
            "input_mixin_pre_film": condition,
            "input_mixin_post_film": wide,
            "activation_pre_film": wide,
            "activation_post_film": inner,
            "layer1x1_post_film": channels,
            "head1x1_post_film": head.get("out_channels"),
        }
        self.films = {
            name: Film(weights, condition, size, config[name])
            for name, size in sizes.items()
            if config.get(name) and config[name].get("active", True)
        }
        self.first = function(entry(config, "activation", index))
        self.second = function(entry(config, "secondary_activation", index) or "Sigmoid")

    def film(self, name, x, condition):
        return self.films[name](x, condition) if name in self.films else x

    def __call__(self, x, condition):
        z = self.film("conv_post_film", self.conv(self.film("conv_pre_film", x, condition)), condition)
        mixed = self.mix(self.film("input_mixin_pre_film", condition, condition))
        z = z + self.film("input_mixin_post_film", mixed, condition)
        z = self.film("activation_pre_film", z, condition)
        value = z[: self.inner]
        if self.mode == "none":
            z = self.first(value)
        elif self.mode == "gated":
            z = self.first(value) * self.second(z[self.inner :])
        else:
            share = self.second(z[self.inner :])
            z = share * self.first(value) + (1 - share) * value
        z = self.film("activation_post_film", z, condition)
        after = x
        if self.back is not None:
            after = x + self.film("layer1x1_post_film", self.back(z), condition)
        skip = z if self.head is None else self.film("head1x1_post_film", self.head(z), condition)
        return after, skip


def wavenet(config, weights, x):
    condition = answer(config["condition_dsp"], x) if config.get("condition_dsp") else x
    residual, head = x, None
    stages = []
    for array in config["layers"]:
        first = Filter(weights, array["input_size"], array["channels"], 1, False)
        layers = [Layer(array, i, weights) for i in range(len(array["dilations"]))]
        inner = array.get("bottleneck", array["channels"])
        size = array["head1x1"]["out_channels"] if array.get("head1x1", {}).get("active") else inner
        given = array.get("head") or {
            "out_channels": array.get("head_size"),
            "kernel_size": 1,
            "bias": array.get("head_bias"),
        }
        last = Filter(
            weights,
            size,
            given["out_channels"],
            given["kernel_size"],
            given["bias"],
            given.get("head_dilation", 1),
        )
        stages.append((first, layers, last))
    post = []
    if config.get("head"):
        inputs, kernels = stages[-1][2].bias.size, config["head"]["kernel_sizes"]
        for i, taps in enumerate(kernels):
            outputs = config["head"]["out_channels"] if i == len(kernels) - 1 else config["head"]["channels"]
            post.append(Filter(weights, inputs, outputs, taps, True))
            inputs = outputs
    scale = weights.pop(1)[0]
    for first, layers, last in stages:
        residual = first(residual)
        for layer in layers:
            residual, skip = layer(residual, condition)
            head = skip if head is None else head + skip
        head = last(head)
    out = head * scale
    for conv in post:
        out = conv(function(config["head"]["activation"])(out))
    return out


def lstm(config, weights, x):
    hidden, inputs, cells = config["hidden_size"], config["input_size"], []
    for _ in range(config["num_layers"]):
        matrix = weights.pop(4 * hidden * (inputs + hidden)).reshape(4 * hidden, inputs + hidden)
        cells.append([matrix, weights.pop(4 * hidden), weights.pop(hidden), weights.pop(hidden)])
        inputs = hidden
    head, bias = weights.pop(hidden), weights.pop(1)
    out = []
    for sample in x.T:
        value = sample
        for cell in cells:
            matrix, offset, h, c = cell
            i, f, g, o = np.split(matrix @ np.concatenate([value, h]) + offset, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            cell[2], cell[3], value = h, c, h
        out.append(head @ value + bias[0])
    return np.array(out)[None]


def convnet(config, weights, x):
    inputs = 1
    for dilation in config["dilations"]:
        normalised, channels = config["batchnorm"], config["channels"]
        conv = Filter(weights, inputs, channels, 2, not normalised, dilation, config.get("groups", 1))
        x = conv(x)
        if normalised:
            mean, variance, gain, offset = (weights.pop(channels)[:, None] for _ in range(4))
            x = (x - mean) / np.sqrt(np.abs(variance + weights.pop(1)[0])) * gain + offset
        x = function(config["activation"])(x)
        inputs = channels
    return weights.pop(inputs)[None] @ x + weights.pop(1)[0]


def linear(config, weights, x):
    taps = weights.pop(config["receptive_field"])
    bias = weights.pop(1)[0] if config["bias"] else 0.0
    return sum(w * late(x, k) for k, w in enumerate(taps)) + bias


def answer(document, x):
    """Play a signal [channels, samples] through the file."""
    weights = List(document["weights"])
    shapes = {"WaveNet": wavenet, "LSTM": lstm, "ConvNet": convnet, "Linear": linear}
    out = shapes[document["architecture"]](document["config"], weights, x)
    assert not weights.left, f"{len(weights.left)} weights are left"
    return out
