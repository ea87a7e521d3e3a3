"""A small network as PyTorch exports it, with its results and gradients.

Writes network.onnx and network.json beside this file. Run with a Python that has torch (made with 1.13.0a0):
    python3 test/golden/make-network.py

Weights and pictures are the integer sequence of make-layers.py; weights halved and variances made positive.
"""

import json
import pathlib

import torch
from torch import nn

torch.set_num_threads(1)


def sequence(shape, salt):
    count = torch.Size(shape).numel()
    return torch.tensor([((i * 37 + salt * 101) % 83 - 41) / 32 for i in range(count)]).reshape(shape)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.head = nn.Linear(6, 5)

    def forward(self, pixels):
        y = torch.relu(self.norm(self.first(pixels)))
        left, right = (y + self.second(y)).split([4, 2], 1)
        y = torch.cat([right * 0.5, left.clamp(-1, 2)], 1)
        embedding = y.mean([2, 3])
        embedding = embedding / embedding.norm(dim=1, keepdim=True)
        return torch.log_softmax(self.head(embedding), 1)


network = Network()
for salt, parameter in enumerate(network.parameters()):
    parameter.data = sequence(parameter.shape, salt) / 2
network.norm.running_mean = sequence([6], 7) / 8
network.norm.running_var = sequence([6], 8) ** 2 + 0.5
network.eval()

pictures = sequence([2, 3, 8, 8], 9)
output = network(pictures)
weights = dict(network.named_parameters())
gradients = torch.autograd.grad((output * sequence([2, 5], 10)).sum(), list(weights.values()))

folder = pathlib.Path(__file__).parent
torch.onnx.export(
    network,
    pictures,
    str(folder / "network.onnx"),
    opset_version=14,
    training=torch.onnx.TrainingMode.PRESERVE,  # keeps the batch normalisation a node of its own
    do_constant_folding=False,
    input_names=["pixels"],
    output_names=["logProbabilities"],
)
golden = {
    "output": output.flatten().tolist(),
    "gradients": {name: gradient.flatten().tolist() for name, gradient in zip(weights, gradients)},
}
(folder / "network.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
