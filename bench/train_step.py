"""The training step of bench/train-step.ts in PyTorch: same network, loss, optimiser, average and sizes.

Reads one JSON configuration from the command line; then, for each line on standard input, runs one step and prints its
milliseconds. Needs Debian's python3-torch with libopenblas0-pthread.
"""
import json
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

config = json.loads(sys.argv[1])
torch.set_num_threads(config["threads"])
torch.manual_seed(0)
if config["denormalsAreZero"]:
    torch.set_flush_denormal(True)


def conv_norm(channels, width, kernel, stride):
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel, stride, (kernel - 1) // 2, bias=False), nn.BatchNorm2d(width)
    )


class Block(nn.Module):
    def __init__(self, channels, width, stride):
        super().__init__()
        self.branch = nn.Sequential(conv_norm(channels, width, 3, stride), nn.ReLU(), conv_norm(width, width, 3, 1))
        parts = [nn.AvgPool2d(stride)] if stride > 1 else []
        if channels != width:
            parts.append(conv_norm(channels, width, 1, 1))
        self.shortcut = nn.Sequential(*parts)

    def forward(self, x):
        return F.relu(self.branch(x) + self.shortcut(x))


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        stem, *widths = config["widths"]
        layers = [conv_norm(3, stem, 3, 2), nn.ReLU()]
        channels = stem
        for width, blocks in zip(widths, config["blocks"]):
            for block in range(blocks):
                layers.append(Block(channels, width, 2 if block == 0 else 1))
                channels = width
        self.body = nn.Sequential(*layers)
        side = config["inputSize"] // 2 ** len(config["widths"])
        self.embedding = nn.Linear(channels * side * side, config["embeddingSize"], bias=False)
        self.normalization = nn.BatchNorm1d(config["embeddingSize"])
        self.attributes = nn.Linear(channels * side * side, sum(config["attributes"]))

    def forward(self, pictures):
        x = pictures.permute(0, 3, 1, 2).float() * (1 / 127.5) - 1
        f = self.body(x).flatten(1)
        return F.normalize(self.normalization(self.embedding(f))), self.attributes(f)


network = Network()
average = [p.detach().clone() for p in network.parameters()]
optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.1)
batch = config["items"] * config["picturesPerItem"]
side = config["inputSize"]
pictures = torch.randint(0, 256, (batch, side, side, 3), dtype=torch.uint8)
ids = torch.arange(batch) // config["picturesPerItem"]
same = ids[:, None] == ids[None, :]
other = ~torch.eye(batch, dtype=torch.bool)
positive, negative = (same & other).float(), (~same).float()
labels = [ids % size for size in config["attributes"]]
one_hot = [F.one_hot(label, size).float() for label, size in zip(labels, config["attributes"])]
parameters = [p for p in network.parameters()]


def step():
    embeddings, logits = network(pictures)
    similarity = embeddings @ embeddings.T
    joined = torch.cat(one_hot, 1)
    semantic = joined @ joined.T / len(one_hot)
    weight = negative * (1 + semantic)
    attraction = (F.softplus(-2 * (similarity - 0.5)) * positive).sum() / positive.sum()
    repulsion = (F.softplus(50 * (similarity - 0.5)) * weight).sum() / weight.sum()
    parts = logits.split(config["attributes"], 1)
    attributes = sum(F.cross_entropy(z, y) for z, y in zip(parts, labels)) / len(labels)
    loss = attraction + repulsion + 0.3 * attributes
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(parameters, 5)
    optimizer.step()
    with torch.no_grad():
        torch._foreach_mul_(average, 0.99)
        torch._foreach_add_(average, parameters, alpha=0.01)
    return loss.item()


print("ready", torch.__version__, flush=True)
for line in sys.stdin:
    started = time.perf_counter()
    step()
    print((time.perf_counter() - started) * 1000, flush=True)
