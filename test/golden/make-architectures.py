"""torchvision's architectures as ONNX files without weights, with torch.autograd's gradients along fixed directions.

Writes architectures/NAME.MODE.onnx.gz and .json beside this file. Run with a Python that has torch and torchvision
(made with 1.13.0a0 and 0.14.0a0):
    python3 test/golden/make-architectures.py [NAME ...]

Modes: `kept` is exported with batch normalisation as nodes of its own (TrainingMode.PRESERVE, no constant folding,
opset 14), `folded` as torch exports by default (normalisation folded into convolutions, opset 17).

Weights come from `numbers`, a hash of tensor name and index, which `architectures.test.ts` computes too; the JSON has
an offset and a scale for each. Scales are chosen so that every layer's output has a deviation of about 1. Gradients are
computed in float64; of each the JSON has the norm and two products with directions of ±1.

The slow test calls this file to export an architecture of full size with torch's own initial weights:
    python3 test/golden/make-architectures.py --fresh NAME MODE SIZE FOLDER
"""

import copy
import gzip
import json
import math
import pathlib
import sys

import numpy
import torch
from torch import nn
from torch.fx.experimental.optimization import fuse
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision import models

BATCH = 2
FOLDER = pathlib.Path(__file__).parent / "architectures"
PIXEL_SCALE = 1.7
NOISE = 5e-6
LARGEST_ROUNDING = 1e-4
KINKED = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.Hardsigmoid, nn.MaxPool2d)


# Narrow or shallow where the full network would make the test slow; every kind of layer stays.
def vgg11_bn():
    network = models.vgg.VGG(
        models.vgg.make_layers([8, "M", 16, "M", 24, 24, "M", 32, 32, "M", 32, 32, "M"], batch_norm=True),
        num_classes=10,
    )
    network.classifier[0] = nn.Linear(32 * 7 * 7, 64)
    network.classifier[3] = nn.Linear(64, 64)
    network.classifier[6] = nn.Linear(64, 10)
    return network


def convnext_tiny():
    block = models.convnext.CNBlockConfig
    blocks = [block(16, 32, 2), block(32, 48, 2), block(48, 64, 2), block(64, None, 2)]
    return models.convnext.ConvNeXt(blocks, num_classes=10)


def vit_b_16():
    return models.vision_transformer.VisionTransformer(
        image_size=64, patch_size=16, num_layers=2, num_heads=4, hidden_dim=64, mlp_dim=128, num_classes=10
    )


def swin_t():
    return models.swin_transformer.SwinTransformer(
        [4, 4], 16, [2, 2, 2, 2], [1, 2, 2, 4], [7, 7], num_classes=10
    )


# Name → (network, picture size, modes). GoogLeNet is as its pretrained weights need it.
ARCHITECTURES = {
    "resnet18": (lambda: models.resnet18(num_classes=10), 64, ["kept", "folded"]),
    "resnet50": (
        lambda: models.resnet.ResNet(models.resnet.Bottleneck, [3, 4, 6, 3], 10, width_per_group=16),
        64,
        ["kept", "folded"],
    ),
    "mobilenet_v2": (lambda: models.mobilenet_v2(num_classes=10), 64, ["kept", "folded"]),
    "mobilenet_v3_small": (lambda: models.mobilenet_v3_small(num_classes=10), 64, ["kept", "folded"]),
    "densenet121": (
        lambda: models.densenet.DenseNet(8, (6, 12, 24, 16), 16, num_classes=10),
        64,
        ["kept", "folded"],
    ),
    "googlenet": (
        lambda: models.googlenet(num_classes=10, aux_logits=False, init_weights=True, transform_input=True),
        64,
        ["kept", "folded"],
    ),
    "squeezenet1_1": (lambda: models.squeezenet1_1(num_classes=10), 64, ["kept", "folded"]),
    "shufflenet_v2_x1_0": (lambda: models.shufflenet_v2_x1_0(num_classes=10), 64, ["kept", "folded"]),
    "efficientnet_b0": (lambda: models.efficientnet_b0(num_classes=10), 64, ["kept", "folded"]),
    "regnet_y_400mf": (lambda: models.regnet_y_400mf(num_classes=10), 64, ["kept", "folded"]),
    "mnasnet1_0": (lambda: models.mnasnet1_0(num_classes=10), 64, ["kept", "folded"]),
    "vgg11_bn": (vgg11_bn, 224, ["kept", "folded"]),
    "convnext_tiny": (convnext_tiny, 64, ["kept", "folded"]),
    "vit_b_16": (vit_b_16, 64, ["kept", "folded"]),
    "swin_t": (swin_t, 56, ["kept"]),  # folding bakes the tables of relative positions into large constants
}


def bits(name, count):
    """A hash of name (FNV-1a) and index (murmur3's finaliser): uint32 [count]."""
    seed = 0x811C9DC5
    for byte in name.encode():
        seed = (seed ^ byte) * 0x01000193 % 2**32
    h = numpy.arange(count, dtype=numpy.uint32) * numpy.uint32(0x9E3779B9) + numpy.uint32(seed)
    h ^= h >> numpy.uint32(16)
    h *= numpy.uint32(0x85EBCA6B)
    h ^= h >> numpy.uint32(13)
    h *= numpy.uint32(0xC2B2AE35)
    return h ^ (h >> numpy.uint32(16))


def numbers(name, shape, offset=0.0, scale=1.0):
    """offset + scale · uniform in [−1, 1), computed in float64, rounded to float32."""
    uniform = (bits(name, math.prod(shape)) >> numpy.uint32(8)).astype(numpy.float64) / 2**23 - 1
    return torch.from_numpy((offset + scale * uniform).astype(numpy.float32).reshape(shape))


def directions(name, count):
    """Two vectors of ±1: float64 [2, count]."""
    h = bits("direction " + name, count)
    return numpy.stack([1.0 - 2.0 * (h & 1), 1.0 - 2.0 * ((h >> 1) & 1)])


# --- ONNX files: the wire format, as far as it is needed (no package `onnx` in Debian) ---


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data):
    """(number, wire type, value or bytes, start, end) of each field of a message."""
    at = 0
    while at < len(data):
        start = at
        key, at = varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = varint(data, at)
        else:
            if wire == 2:
                size, at = varint(data, at)
            else:
                size = {1: 8, 5: 4}[wire]
            value = data[at : at + size]
            at += size
        yield number, wire, value, start, at


def length_delimited(number, data):
    def encode(value):
        out = bytearray()
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        return bytes(out + bytes([value]))

    return encode(number << 3 | 2) + encode(len(data)) + data


def initializers(model):
    """Name → float32 array, of the tensors that hold floats as raw data."""
    found = {}
    for number, _, graph, _, _ in fields(model):
        for inner, _, tensor, _, _ in fields(graph) if number == 7 else ():
            if inner != 5:
                continue
            dims, data_type, name, raw = [], 0, "", b""
            for field, wire, value, _, _ in fields(tensor):
                if field == 1 and wire == 0:
                    dims.append(value)
                elif field == 1:
                    at = 0
                    while at < len(value):
                        size, at = varint(value, at)
                        dims.append(size)
                elif field == 2:
                    data_type = value
                elif field == 8:
                    name = value.decode()
                elif field == 9:
                    raw = value
            if data_type == 1:
                found[name] = numpy.frombuffer(raw, "<f4").reshape(dims)
    return found


def stripped(model, names):
    """The model without the raw data of the named initialisers."""

    def tensor_without_data(tensor):
        parts = list(fields(tensor))
        name = next(value.decode() for number, _, value, _, _ in parts if number == 8)
        if name not in names:
            return tensor
        return b"".join(tensor[start:end] for number, _, _, start, end in parts if number != 9)

    def graph_without_data(graph):
        return b"".join(
            length_delimited(5, tensor_without_data(value)) if number == 5 else graph[start:end]
            for number, _, value, start, end in fields(graph)
        )

    return b"".join(
        length_delimited(7, graph_without_data(value)) if number == 7 else model[start:end]
        for number, _, value, start, end in fields(model)
    )


def export(network, pixels, mode, path):
    torch.onnx.export(
        network,
        pixels,
        str(path),
        opset_version=14 if mode == "kept" else 17,
        training=torch.onnx.TrainingMode.PRESERVE if mode == "kept" else torch.onnx.TrainingMode.EVAL,
        do_constant_folding=mode == "folded",
        input_names=["pixels"],
        output_names=["logits"],
        dynamic_axes={"pixels": {0: "N"}, "logits": {0: "N"}},
    )


# --- networks ---


def randomized(network, pixels):
    """Fills all parameters and statistics; returns offset and scale by name."""
    statistics = {name: buffer for name, buffer in network.named_buffers() if buffer.dtype == torch.float32}
    tensors = {**dict(network.named_parameters()), **statistics}
    rule = {}
    for name, tensor in tensors.items():
        kind = name.split(".")[-1]
        if kind == "running_var":
            rule[name] = [1.0, 0.5]
        elif tensor.dim() >= 2:
            rule[name] = [0.0, math.sqrt(3 / max(1, math.prod(tensor.shape[1:])))]
        elif kind == "weight":
            rule[name] = [1.0, 0.4]
        else:
            rule[name] = [0.0, 0.3]
        tensor.data = numbers(name, tensor.shape, *rule[name])
    unit_deviations(network, pixels, rule, {n: (tensor, False) for n, tensor in network.named_parameters()})
    return rule


def unit_deviations(network, pixels, rule, counterparts):
    """Scales weights, layer by layer, so that a convolution's or linear map's output has deviation 1, bias aside."""
    names = {id(tensor): (name, is_transposed) for name, (tensor, is_transposed) in counterparts.items()}

    def scale(module, inputs, output):
        name, is_transposed = names[id(module.weight)]
        bias = 0 if module.bias is None else module.bias
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            bias = module.bias.reshape(-1, 1, 1)
        rule[name][1] = float(f"{rule[name][1] / (output - bias).std().item():.4g}")
        fill(module.weight, name, rule, is_transposed)
        return module.forward(inputs[0])

    layers = [module for module in network.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    hooks = [module.register_forward_hook(scale) for module in layers if id(module.weight) in names]
    with torch.no_grad():
        network(pixels)
    for hook in hooks:
        hook.remove()


def fill(tensor, name, rule, is_transposed):
    shape = tensor.shape[::-1] if is_transposed else tensor.shape
    values = numbers(name, shape, *rule[name])
    tensor.data = values.T.contiguous() if is_transposed else values


def folded(network):
    """The network with normalisation folded into the convolutions before it, as torch's exporter does."""
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return copy.deepcopy(network)
    if not isinstance(network, models.ShuffleNetV2):
        return fuse(network).eval()
    network = copy.deepcopy(network)  # cannot be traced; its normalisation always stands beside its convolution
    for layers in network.modules():
        if isinstance(layers, nn.Sequential):
            for i, (first, second) in enumerate(zip(list(layers), list(layers)[1:])):
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    layers[i], layers[i + 1] = fuse_conv_bn_eval(first, second), nn.Identity()
    return network.eval()


def matched(tensors, network):
    """ONNX name → (parameter or statistic of the network, whether the file has it transposed), by equal numbers."""
    own = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    found = {}
    for name, array in tensors.items():
        candidates = [own[name]] if name in own else own.values()
        for tensor in candidates:
            values = tensor.detach().numpy()
            if values.shape == array.shape and numpy.allclose(values, array, 1e-3, 1e-5):
                found[name] = (tensor, False)
                break
            if values.ndim == 2 and values.T.shape == array.shape and numpy.allclose(values.T, array, 1e-3, 1e-5):
                found[name] = (tensor, True)
                break
    return found


def differentiate(network, pixels, output_gradient, counterparts):
    """Output, gradient by pixels and gradients by ONNX name, in the file's layout."""
    pixels = pixels.clone().requires_grad_()
    output = network(pixels)
    parameters = {n: c for n, c in counterparts.items() if isinstance(c[0], nn.Parameter)}
    wanted = [pixels] + [tensor for tensor, _ in parameters.values()]
    first, *rest = torch.autograd.grad(output, wanted, output_gradient)
    by_name = {n: g.T if c[1] else g for (n, c), g in zip(parameters.items(), rest)}
    return output.detach(), first, by_name


def difference(single, double):
    return ((single.double() - double).norm() / double.norm()).item()


def smooth_here(network, pixels, output_gradient, counterparts, pairs=4):
    """Results in float32 and in float64, and how far the gradients of float32, or of slightly other pictures, are off.

    Where an activation is within rounding of a kink, any two orders of summation give different gradients, in torch
    too: so pictures are drawn until none is.
    """
    single = differentiate(network.float(), pixels, output_gradient, counterparts)
    network.double()  # keeps the parameter objects
    output_gradient, pixels = output_gradient.double(), pixels.double()
    double = differentiate(network, pixels, output_gradient, counterparts)
    worst = max(difference(single[2][n], g) for n, g in double[2].items())
    for amplitude in [NOISE, -NOISE] * pairs:
        if worst >= LARGEST_ROUNDING:
            break
        if amplitude > 0:
            noise = numbers(f"noise {worst}", pixels.shape).double()
        other = differentiate(network, pixels + amplitude * noise, output_gradient, counterparts)
        worst = max(worst, *(difference(other[2][n], g) for n, g in double[2].items()))
    return single, double, worst


def make(name, mode):
    build, size, _ = ARCHITECTURES[name]
    torch.manual_seed(0)
    network = build().eval()
    output_gradient = numbers("logits", [BATCH, 10])
    pixels = numbers("pixels 0", [BATCH, 3, size, size], 0, PIXEL_SCALE)
    rule = randomized(network, pixels)
    path = FOLDER / f"{name}.{mode}.onnx"
    export(network, pixels, mode, path)
    model = path.read_bytes()
    path.unlink()
    tensors = initializers(model)
    if mode == "folded":
        network = folded(network)
    counterparts = matched(tensors, network)
    if mode == "folded":
        rule = {}
        for tensor_name, (tensor, is_transposed) in counterparts.items():
            array = tensors[tensor_name]
            offset, scale = float(f"{array.mean():.4g}"), float(f"{array.std() * math.sqrt(3):.4g}")
            rule[tensor_name] = [0.0 if array.ndim > 1 else offset, scale]
            fill(tensor, tensor_name, rule, is_transposed)
        unit_deviations(network, pixels, rule, counterparts)
    for tensor_name, array in tensors.items():
        if tensor_name not in counterparts and array.size > 1:
            print(f"  {tensor_name} {list(array.shape)} is left in the file: no parameter of the network")

    for attempt in range(50):
        pixels = numbers(f"pixels {attempt}", [BATCH, 3, size, size], 0, PIXEL_SCALE)
        single, double, worst = smooth_here(network, pixels, output_gradient, counterparts)
        if worst < LARGEST_ROUNDING:
            break
    gradients = {"pixels": double[1], **double[2]}
    print(
        f"{name} {mode}: {len(gradients) - 1} parameters, output deviation {double[0].std():.3g}, "
        f"off by rounding {worst:.1e} at most, pictures {attempt}"
    )

    def check(tensor_name, gradient):
        flat = gradient.numpy().ravel()
        products = directions(tensor_name, flat.size) @ flat
        return [float(f"{x:.6g}") for x in [numpy.linalg.norm(flat), *products]]

    golden = {
        "size": size,
        "pixels": f"pixels {attempt}",
        "weights": {n: rule[n] for n in counterparts},
        "logits": [float(f"{x:.7g}") for x in double[0].flatten().tolist()],
        "gradients": {n: check(n, g) for n, g in gradients.items()},
    }
    text = json.dumps(golden, separators=(",", ":")).replace('],"', '],\n"')
    (FOLDER / f"{name}.{mode}.json").write_text(text + "\n")
    with gzip.GzipFile(str(path) + ".gz", "wb", 9, mtime=0) as file:
        file.write(stripped(model, set(counterparts)))


def fresh(name, mode, size, folder):
    """Full width and depth, torch's initial weights; normalisation's where they would be equal in the folded file."""
    folder = pathlib.Path(folder)
    torch.manual_seed(1)
    # GoogLeNet's own initial weights are so small that nearly all its maxima are at a tie.
    extra = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    network = getattr(models, name)(**extra).eval()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for i, norm in enumerate(norms):
        if mode == "kept" and i % 3 == 0:
            continue  # torch writes equal parameters once, and the others as Identity of it
        nn.init.normal_(norm.weight, 1, 0.2)
        nn.init.normal_(norm.bias, 0, 0.2)
        nn.init.normal_(norm.running_mean, 0, 0.2)
        nn.init.uniform_(norm.running_var, 0.5, 1.5)
    for parameter in network.parameters():
        if parameter.dim() > 1 and not parameter.any():
            nn.init.normal_(parameter, 0, 0.02)  # a vision transformer's last layer starts at 0: nothing would pass it
    export(network, torch.randn(BATCH, 3, size, size), mode, folder / "model.onnx")
    if mode == "folded":
        network = folded(network)
        counterparts = matched(initializers((folder / "model.onnx").read_bytes()), network)
    else:
        counterparts = {n: (parameter, False) for n, parameter in network.named_parameters()}
    has_kinks = any(isinstance(module, KINKED) for module in network.modules())
    for _ in range(30 if size <= 64 else 4):
        pixels = torch.randn(BATCH, 3, size, size)
        output_gradient = torch.randn(BATCH, 1000)
        if not has_kinks:
            single, worst = differentiate(network, pixels, output_gradient, counterparts), 0
            break
        single, _, worst = smooth_here(network, pixels, output_gradient, counterparts, 2)
        print(f"{name} {mode}: off by rounding {worst:.1e} at most")
        if worst < LARGEST_ROUNDING:
            break
    output, first, gradients = single

    def save(file, tensor):
        numpy.save(folder / file, numpy.ascontiguousarray(tensor.numpy()))
        return file

    index = {
        "pixels": save("pixels.npy", pixels),
        "outputGradient": save("output-gradient.npy", output_gradient),
        "output": save("output.npy", output),
        "rounding": worst,
        "byPixels": save("by-pixels.npy", first),
        "parameters": {n: save(f"{i}.npy", g) for i, (n, g) in enumerate(gradients.items())},
    }
    (folder / "torch.json").write_text(json.dumps(index))


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1:2] == ["--fresh"]:
        fresh(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
    else:
        FOLDER.mkdir(exist_ok=True)
        for wanted in sys.argv[1:] or ARCHITECTURES:
            for mode in ARCHITECTURES[wanted][2]:
                make(wanted, mode)
