"""PyTorch's side of bench/architectures.ts. Needs Debian's python3-torch, python3-torchvision, libopenblas0-pthread.

    architectures.py export NAME SIZE BATCH MODE FOLDER      writes model.onnx, pixels.npy, labels.npy
    architectures.py step NAME SIZE BATCH MODE FOLDER THREADS [TRAINED]

`step` prints a line `ready VERSION`; then for each line on standard input it runs one training step and prints its
milliseconds and loss; at the end of the input, its peak memory in kB. TRAINED is a JSON list of the parameters that are
trained; without it all are.
"""

import json
import pathlib
import re
import sys
import time

import numpy
import torch
from torch import nn
from torch.fx.experimental.optimization import fuse
from torchvision import models

command, name, size, batch, mode, folder = sys.argv[1:7]
size, batch, folder = int(size), int(batch), pathlib.Path(folder)

torch.manual_seed(0)
extra = {"aux_logits": False, "init_weights": True} if name == "googlenet" else {}
network = getattr(models, name)(**extra).eval()  # normalisation by its statistics, no dropout: as the ONNX file is
for module in network.modules():
    if isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1, 0.1)
        nn.init.normal_(module.bias, 0, 0.1)
        nn.init.normal_(module.running_mean, 0, 0.1)
        nn.init.uniform_(module.running_var, 0.5, 1.5)
if mode == "folded" and any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
    network = fuse(network).eval()

if command == "export":
    pixels = torch.randn(batch, 3, size, size)
    torch.onnx.export(
        network,
        pixels,
        str(folder / "model.onnx"),
        opset_version=17,
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=mode == "folded",
        input_names=["pixels"],
        output_names=["logits"],
        dynamic_axes={"pixels": {0: "N"}, "logits": {0: "N"}},
    )
    numpy.save(folder / "pixels.npy", pixels.numpy())
    numpy.save(folder / "labels.npy", torch.randint(0, 1000, (batch,)).numpy())
    sys.exit()

torch.set_num_threads(int(sys.argv[7]))
torch.set_flush_denormal(True)
pixels = torch.from_numpy(numpy.load(folder / "pixels.npy"))
labels = torch.from_numpy(numpy.load(folder / "labels.npy"))
if len(sys.argv) > 8:
    trained = set(json.loads(pathlib.Path(sys.argv[8]).read_text()))
    for parameter_name, parameter in network.named_parameters():
        parameter.requires_grad = parameter_name in trained
optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=1e-3, momentum=0.9)

print("ready", torch.__version__, flush=True)
for line in sys.stdin:
    started = time.perf_counter()
    loss = nn.functional.cross_entropy(network(pixels), labels)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    print((time.perf_counter() - started) * 1000, loss.item(), flush=True)
status = pathlib.Path("/proc/self/status").read_text()
print(re.search(r"VmHWM:\s*(\d+)", status)[1], flush=True)
