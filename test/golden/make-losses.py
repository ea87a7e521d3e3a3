"""Golden values of losses and optimisers from PyTorch, on inputs from a closed-form integer sequence.

Writes losses.json beside this file. Run with a Python that has torch (made with 1.13.0a0):
    python3 test/golden/make-losses.py

Element i of an array with salt s is ((i * 37 + s * 101) mod 83 - 41) / 32: exact in float32, the same in any language.
Embeddings are its rows scaled to unit length; gradients are by these unit rows.
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
    return torch.tensor(values, dtype=torch.float64).reshape(shape)


def numbers(tensor):
    return [float(f"{value:.8g}") for value in tensor.detach().flatten().tolist()]


def masks(items):
    same = items[:, None] == items[None, :]
    return same & ~torch.eye(len(items), dtype=torch.bool), ~same


def binomial_deviance(embeddings, items, alpha=2.0, beta=0.5, negative_cost=25.0):
    s = embeddings @ embeddings.T
    positive, negative = masks(items)
    return F.softplus(-alpha * (s[positive] - beta)).mean() + F.softplus(
        alpha * negative_cost * (s[negative] - beta)
    ).mean()


def batch_hard_triplet(embeddings, items, margin=0.2):
    distance = 2 - 2 * embeddings @ embeddings.T
    positive, negative = masks(items)
    farthest = distance.masked_fill(~positive, -torch.inf).max(dim=1).values
    nearest = distance.masked_fill(~negative, torch.inf).min(dim=1).values
    return F.relu(farthest - nearest + margin).mean()


def loss_case(name, loss, items, dimension, salt):
    embeddings = F.normalize(sequence((len(items), dimension), salt), dim=1).requires_grad_(True)
    value = loss(embeddings, torch.tensor(items))
    (gradient,) = torch.autograd.grad(value, [embeddings])
    return {
        "loss": name,
        "items": items,
        "embeddings": numbers(embeddings),
        "value": float(f"{value.item():.8g}"),
        "gradient": numbers(gradient),
    }


def optimizer_case(name, options, make, steps=3):
    parameter = sequence((2, 3), 1).requires_grad_(True)
    optimizer = make([parameter])
    after = []
    for step in range(steps):
        parameter.grad = sequence((2, 3), 2 + step)
        optimizer.step()
        after.append(numbers(parameter))
    return {"optimizer": name, "options": options, "learningRate": optimizer.defaults["lr"], "after": after}


ITEMS = [[1, 1, 2, 2, 3, 3], [5, 8, 5, 8, 5, 8, 9, 9]]
cases = {
    "losses": [
        loss_case(name, loss, items, dimension, salt)
        for salt, (items, dimension) in enumerate(zip(ITEMS, [4, 3]))
        for name, loss in [("binomialDeviance", binomial_deviance), ("batchHardTriplet", batch_hard_triplet)]
    ],
    "optimizers": [
        optimizer_case(
            "adamw",
            {"weightDecay": 0.1},
            lambda parameters: torch.optim.AdamW(parameters, lr=0.05, weight_decay=0.1),
        ),
        optimizer_case(
            "adamw",
            {"beta1": 0.8, "beta2": 0.99, "epsilon": 1e-3, "weightDecay": 0},
            lambda parameters: torch.optim.AdamW(parameters, lr=0.02, betas=(0.8, 0.99), eps=1e-3, weight_decay=0),
        ),
        optimizer_case(
            "sgd",
            {"weightDecay": 0.01},
            lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01),
        ),
        optimizer_case(
            "sgd", {"momentum": 0}, lambda parameters: torch.optim.SGD(parameters, lr=0.1)
        ),
    ],
}
pathlib.Path(__file__).with_name("losses.json").write_text(json.dumps(cases, indent=1) + "\n")
