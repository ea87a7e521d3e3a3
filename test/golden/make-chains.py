"""Tiny networks with the chains of shape arithmetic that PyTorch's exporter writes for a batch of unknown size.

Writes chains/NAME.opsetN.onnx beside this file. Run with a Python that has torch (made with 1.13.0a0):
    python3 test/golden/make-chains.py

shuffle: channel shuffle of ShuffleNet · attention: heads, class token, positions of ViT · windows: shifted windows
with a mask of Swin · pooling: padding, pooling, upsampling, hard activations.
"""

import pathlib

import torch
from torch import nn
from torch.nn import functional


class Shuffle(nn.Module):
    def __init__(self):
        super().__init__()
        self.branch = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.BatchNorm2d(4), nn.ReLU())

    def forward(self, x):
        left, right = x.chunk(2, dim=1)
        x = torch.cat((left, self.branch(right)), dim=1)
        n, c, h, w = x.size()
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, -1, h, w)
        return x.mean([2, 3])


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(8, 8, 2, stride=2)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.positions = nn.Parameter(torch.randn(1, 10, 8))
        self.norm = nn.LayerNorm(8)
        self.qkv = nn.Linear(8, 24)
        self.out = nn.Linear(8, 8)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.token.expand(x.shape[0], -1, -1), x), dim=1) + self.positions
        b, n, c = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(b, n, 3, 2, c // 2).permute(2, 0, 3, 1, 4).unbind(0)
        weights = ((q @ k.transpose(-2, -1)) * (c // 2) ** -0.5).softmax(dim=-1)
        x = x + self.out((weights @ v).transpose(1, 2).reshape(b, n, c))
        return functional.gelu(x)[:, 0]


class Windows(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(8, 8)
        self.bias = nn.Parameter(torch.randn(9, 9))

    def forward(self, x):
        x = torch.roll(x.permute(0, 2, 3, 1), shifts=(-1, -1), dims=(1, 2))
        b, h, w, c = x.shape
        x = x.view(b, h // 3, 3, w // 3, 3, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 9, c)
        mask = torch.zeros(h, w)
        mask[-1:, :] = 1
        mask[:, -1:] += 2
        mask = mask.view(h // 3, 3, w // 3, 3).permute(0, 2, 1, 3).reshape(-1, 9)
        mask = (mask.unsqueeze(1) - mask.unsqueeze(2)).ne(0).float() * -100
        scores = x @ x.transpose(1, 2) + self.bias
        scores = (scores.view(b, -1, 9, 9) + mask).view(-1, 9, 9)
        x = self.mix(scores.softmax(-1) @ x)
        x = x.view(b, h // 3, w // 3, 3, 3, c).permute(0, 1, 3, 2, 4, 5).reshape(b, h, w, c)
        return torch.roll(x, shifts=(1, 1), dims=(1, 2)).mean((1, 2))


class Pooling(nn.Module):
    def forward(self, x):
        y = functional.max_pool2d(functional.pad(x, (1, 0, 0, 1)), 3, 2, padding=1)
        y = functional.interpolate(y, scale_factor=2, mode="nearest")
        y = functional.relu6(y) + functional.hardtanh(y) * torch.sigmoid(y)
        return functional.log_softmax(functional.adaptive_avg_pool2d(y, 1).flatten(1).clamp(-1, 2), dim=1)


torch.manual_seed(0)
folder = pathlib.Path(__file__).parent / "chains"
folder.mkdir(exist_ok=True)
for network in (Shuffle(), Attention(), Windows(), Pooling()):
    for opset in (9, 11, 13, 17):
        if opset == 9 and isinstance(network, Windows):
            continue  # the exporter needs ScatterND of opset 11 for the mask
        torch.onnx.export(
            network.eval(),
            torch.randn(2, 8, 6, 6),
            str(folder / f"{type(network).__name__.lower()}.opset{opset}.onnx"),
            opset_version=opset,
            do_constant_folding=False,
            input_names=["pixels"],
            output_names=["y"],
            dynamic_axes={"pixels": {0: "N"}, "y": {0: "N"}},
        )
