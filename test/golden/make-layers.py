"""Golden values of layers and their gradients from PyTorch, on inputs from a closed-form integer sequence.

Writes layers.json beside this file. Run with a Python that has torch (made with 1.13.0a0):
    python3 test/golden/make-layers.py

Element i of an array with salt s is ((i * 37 + s * 101) mod 83 - 41) / 32: exact in float32, the same in any language.
"""

import json
import pathlib

import torch
import torch.nn.functional as F

torch.set_num_threads(1)


def sequence(shape, salt):
    count = 1
    for size in shape:
        count *= size
    values = [((i * 37 + salt * 101) % 83 - 41) / 32 for i in range(count)]
    return torch.tensor(values, dtype=torch.float64).reshape(shape).requires_grad_(True)


def numbers(tensor):
    return [float(f"{value:.7g}") for value in tensor.detach().flatten().tolist()]


def case(kind, options, shapes, forward):
    inputs = [sequence(shape, salt) for salt, shape in enumerate(shapes)]
    y = forward(*inputs)
    g = sequence(y.shape, 9).detach()
    gradients = torch.autograd.grad((y * g).sum(), inputs)
    return {
        "kind": kind,
        "options": options,
        "shapes": shapes,
        "outputShape": list(y.shape),
        "output": numbers(y),
        "gradients": [numbers(gradient) for gradient in gradients],
    }


def convolution(x, weight, stride=1, padding=0, dilation=1, group=1):
    options = {"stride": stride, "padding": padding, "dilation": dilation, "group": group}
    return case(
        "convolution",
        options,
        [x, weight, [weight[0]]],
        lambda x, w, b: F.conv2d(x, w, b, stride, padding, dilation, group),
    )


def batch(x, training):
    channels = [x[1]]
    if training:
        return case(
            "batchNormalizationTraining",
            {},
            [x, channels, channels],
            lambda x, w, b: F.batch_norm(x, None, None, w, b, True, 0.1, 1e-5),
        )
    return case(
        "batchNormalization",
        {},
        [x, channels, channels],
        lambda x, w, b: F.batch_norm(
            x, torch.zeros_like(w) + 0.25, torch.zeros_like(w) + 0.75, w, b, False, 0.1, 1e-5
        ),
    )


cases = [
    convolution([2, 3, 6, 5], [4, 3, 3, 3], padding=1),
    convolution([2, 3, 6, 7], [4, 3, 3, 3], stride=2, padding=1),
    convolution([1, 5, 6, 8], [2, 5, 3, 3], stride=2),
    convolution([1, 2, 7, 8], [2, 2, 3, 3], stride=3),
    convolution([2, 6, 3, 4], [3, 6, 1, 1]),
    convolution([1, 4, 5, 5], [3, 4, 1, 1], stride=2),
    convolution([1, 3, 9, 8], [3, 3, 4, 4], stride=4),
    convolution([1, 2, 5, 6], [2, 2, 5, 5], padding=2),
    convolution([1, 4, 5, 4], [6, 2, 3, 3], padding=1, group=2),
    convolution([2, 3, 4, 5], [3, 1, 3, 3], padding=1, group=3),
    convolution([1, 2, 7, 7], [2, 2, 3, 3], padding=2, dilation=2),
    batch([3, 4, 2, 3], True),
    batch([6, 3], True),
    batch([3, 4, 2, 3], False),
    case("layerNormalization", {}, [[4, 6], [6], [6]], lambda x, w, b: F.layer_norm(x, [6], w, b, 1e-5)),
    case(
        "layerNormalization", {}, [[2, 3, 5], [3, 5], [3, 5]], lambda x, w, b: F.layer_norm(x, [3, 5], w, b, 1e-5)
    ),
    case(
        "groupNormalization",
        {"groups": 2},
        [[2, 6, 2, 3], [6], [6]],
        lambda x, w, b: F.group_norm(x, 2, w, b, 1e-5),
    ),
    case("logSoftmax", {"axis": 1}, [[3, 5]], lambda x: F.log_softmax(x, 1)),
    case("averagePool", {"size": 2}, [[1, 2, 5, 4]], lambda x: F.avg_pool2d(x, 2)),
]

path = pathlib.Path(__file__).with_name("layers.json")
lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in cases)
path.write_text(f'{{"torch":"{torch.__version__}","cases":[\n{lines}\n]}}\n')
print(path.name, path.stat().st_size, "bytes")
