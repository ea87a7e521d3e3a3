"""Golden values of losses and optimisers from PyTorch, on inputs from a closed-form integer sequence.

Writes losses.json beside this file. Run with a Python that has torch (made with 1.13.0a0):
    python3 test/golden/make-losses.py

Element i of an array with salt s is ((i * 37 + s * 101) mod 83 - 41) / 32: exact in float32, the same in any language.
Embeddings are rows of a like sequence scaled to unit length; gradients are by these unit rows.
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


class Pairs:
    """Cosines of a batch with itself and a memory of past embeddings; which pairs are positive and negative."""

    def __init__(self, embeddings, items, memory=None):
        others = embeddings if memory is None else torch.cat([embeddings, memory["embeddings"]])
        ids = items if memory is None else torch.cat([items, memory["items"]])
        self.similarity = embeddings @ others.T
        same = items[:, None] == ids[None, :]
        filled = torch.ones(len(ids), dtype=torch.bool)
        if memory is not None:
            filled[len(items) :] = memory["filled"]
        self.positive = same & ~torch.eye(len(items), len(ids), dtype=torch.bool) & filled
        self.negative = ~same & filled


def binomial_deviance(pairs, alpha=2.0, beta=0.5, negativeCost=25.0):
    s = pairs.similarity
    return F.softplus(-alpha * (s[pairs.positive] - beta)).mean() + F.softplus(
        alpha * negativeCost * (s[pairs.negative] - beta)
    ).mean()


def soft_binomial_deviance(
    pairs, semantic, positiveLink, negativeLink, slack, aggregation, attraction=0.0, alpha=2.0, beta=0.5, negativeCost=25.0
):
    s = pairs.similarity

    def side(logits, weights, mask, steepness):
        """One number of the pairs of a mask; rows of the matrices are anchors."""
        if aggregation == "pairs":
            u = weights[mask]
            return (u * F.softplus(logits[mask])).sum() / u.sum()
        rows = [(z[m], w[m]) for z, w, m in zip(logits, weights, mask) if m.any()]
        if aggregation == "anchors":
            return torch.stack([(w * F.softplus(z)).sum() / w.sum() for z, w in rows]).mean()
        return torch.stack([torch.log1p((w * z.exp()).sum()) for z, w in rows]).mean() / steepness

    near = side(-alpha * (s - beta), 1 + positiveLink * (1 - semantic), pairs.positive, alpha)
    steepness = alpha * negativeCost
    far = side(steepness * (s - beta - slack * semantic), 1 + negativeLink * semantic, pairs.negative, steepness)
    g = semantic[pairs.negative]
    drawn = (g * F.softplus(-alpha * (s[pairs.negative] - beta))).sum() / g.sum()
    return near + far + attraction * drawn


def contrastive(pairs, margin=1.0):
    squared = 2 - 2 * pairs.similarity
    distance = squared[pairs.negative].sqrt()
    return squared[pairs.positive].mean() + F.relu(margin - distance).square().mean()


def triplet(pairs, mining, margin=0.2):
    distance = 2 - 2 * pairs.similarity
    terms = []
    for row, positive, negative in zip(distance, pairs.positive, pairs.negative):
        if mining == "batch-hard":
            terms.append(F.relu(row[positive].max() - row[negative].min() + margin))
            continue
        gap = row[positive][:, None] - row[negative][None, :]
        kept = (gap < 0) & (gap > -margin) if mining == "semi-hard" else torch.ones_like(gap, dtype=torch.bool)
        terms.extend(F.relu(gap + margin)[kept])
    return torch.stack(terms).mean()


def multi_similarity(pairs, mining=True, alpha=2.0, beta=50.0, base=0.5, epsilon=0.1):
    """Anchor by anchor, as in the authors' code."""
    terms = []
    for row, is_positive, is_negative in zip(pairs.similarity, pairs.positive, pairs.negative):
        positive, negative = row[is_positive], row[is_negative]
        if mining:
            if len(positive) == 0 or len(negative) == 0:
                continue
            kept_negative = negative[negative + epsilon > positive.min()]
            kept_positive = positive[positive - epsilon < negative.max()]
            if len(kept_negative) == 0 or len(kept_positive) == 0:
                continue
            positive, negative = kept_positive, kept_negative
        terms.append(torch.log(1 + torch.exp(-alpha * (positive - base)).sum()) / alpha)
        terms.append(torch.log(1 + torch.exp(beta * (negative - base)).sum()) / beta)
    return torch.stack(terms).sum() / len(pairs.similarity)


def normalized_softmax(embeddings, items, proxies, temperature=0.05, labelSmoothing=0.0):
    logits = F.linear(embeddings, F.normalize(proxies, dim=1)) / temperature
    return F.cross_entropy(logits, items, label_smoothing=labelSmoothing)


def proxy_anchor(embeddings, items, proxies, alpha=32.0, margin=0.1):
    cosine = F.linear(embeddings, F.normalize(proxies, dim=1))
    own = F.one_hot(items, len(proxies)).bool()
    positive = torch.where(own, torch.exp(-alpha * (cosine - margin)), torch.zeros_like(cosine)).sum(0)
    negative = torch.where(own, torch.zeros_like(cosine), torch.exp(alpha * (cosine + margin))).sum(0)
    return torch.log(1 + positive).sum() / own.any(0).sum() + torch.log(1 + negative).sum() / len(proxies)


def boosted_ensemble(embeddings, items, sizes, memory=None, alpha=2.0, beta=0.5, negativeCost=25.0):
    """The weights of pairs come from autograd, as in the authors' code. Parts have the length of the root of their weight."""
    count = len(sizes)
    masks = Pairs(embeddings, items, memory)
    slope = torch.where(masks.positive, -alpha, alpha * negativeCost)
    ensemble, weights, total = 0.0, torch.ones_like(masks.similarity), 0.0
    past = [None] * count if memory is None else torch.split(memory["embeddings"], sizes, dim=1)
    for m, (part, past_part) in enumerate(zip(torch.split(embeddings, sizes, dim=1), past)):
        others = part if past_part is None else torch.cat([part, past_part])
        s = F.normalize(part, dim=1).detach() @ F.normalize(others, dim=1).detach().T
        # The same value, with the gradient by unnormalised parts, which is what the graph is asked for.
        s_graph = part @ others.T / (2 * (m + 1) / (count * (count + 1)))
        assert torch.allclose(s, s_graph.detach())
        loss = weights * F.softplus(slope * (s_graph - beta))
        total = total + loss[masks.positive].mean() + loss[masks.negative].mean()
        eta = 2 / (m + 2)
        ensemble = (1 - eta) * ensemble + eta * s
        logit = (-slope * (ensemble - beta)).detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(F.softplus(-logit).sum(), [logit])
        weights = -gradient
    return total / count


def unit(shape, salt):
    """Rows of unit length that lie well apart, from a cubic sequence: near pairs would only measure float32."""
    count = shape[0] * shape[1]
    values = [((i * i * i * 7 + i * 37 + salt * 101) % 83 - 41) / 32 for i in range(count)]
    return F.normalize(torch.tensor(values, dtype=torch.float64).reshape(shape), dim=1)


def ensemble_rows(count, sizes, salt):
    parts = [unit((count, size), salt + 7 * m) for m, size in enumerate(sizes)]
    scale = [(2 * (m + 1) / (len(sizes) * (len(sizes) + 1))) ** 0.5 for m in range(len(sizes))]
    return torch.cat([part * factor for part, factor in zip(parts, scale)], dim=1)


def loss_case(name, loss, items, embeddings, options, **given):
    """`loss` is of embeddings and items, and what is given: semantic, memory, proxies."""
    x = embeddings.clone().requires_grad_(True)
    leaves = [x]
    if "proxies" in given:
        given["proxies"] = given["proxies"].clone().requires_grad_(True)
        leaves.append(given["proxies"])
    value = loss(x, torch.tensor(items), **given)
    gradients = torch.autograd.grad(value, leaves)
    case = {
        "loss": name,
        "options": options,
        "items": items,
        "embeddings": numbers(x),
        "value": float(f"{value.item():.8g}"),
        "gradient": numbers(gradients[0]),
    }
    if "semantic" in given:
        case["semantic"] = numbers(given["semantic"])
    if "proxies" in given:
        case["proxies"] = numbers(given["proxies"])
        case["proxyGradient"] = numbers(gradients[1])
    if "memory" in given:
        memory = given["memory"]
        case["memory"] = {
            "embeddings": numbers(memory["embeddings"]),
            "items": memory["items"].tolist(),
            "filled": memory["filled"].int().tolist(),
        }
    return case


def pair_cases():
    """Every loss over pairs, alone and with a memory of which two rows are empty."""
    losses = [
        ("binomialDeviance", binomial_deviance, [{}, {"alpha": 1.5, "beta": 0.3, "negativeCost": 9.0}]),
        ("contrastive", contrastive, [{}, {"margin": 1.4}]),
        ("triplet", triplet, [{"mining": "batch-hard"}, {"mining": "all"}, {"mining": "semi-hard", "margin": 0.6}]),
        ("multiSimilarity", multi_similarity, [{}, {"mining": False}, {"alpha": 4.0, "beta": 20.0, "base": 0.2, "epsilon": 0.3}]),
        ("softBinomialDeviance", soft_binomial_deviance, [
            {"positiveLink": 0.5, "negativeLink": 1.5, "slack": 0.2, "aggregation": "pairs", "attraction": 0.3},
            {"positiveLink": 0.5, "negativeLink": 1.5, "slack": 0.2, "aggregation": "anchors"},
            {"positiveLink": 0.0, "negativeLink": 1.0, "slack": 0.15, "aggregation": "log-sum-exp"},
        ]),
    ]
    cases = []
    for (salt, past_salt), (items, dimension) in zip([(30, 9), (9, 29)], zip(ITEMS, [4, 3])):
        past_items = [items[2], 77, items[0], 77, items[-1], 5, 1]
        memory = {
            "embeddings": unit((7, dimension), past_salt),
            "items": torch.tensor(past_items),
            "filled": torch.tensor([True, True, True, False, True, True, False]),
        }
        for past in [None, memory]:
            count = len(items) + (0 if past is None else len(past_items))
            semantic = sequence((len(items), count), 30 + salt).abs() * 0.75
            for name, loss, settings in losses:
                for options in settings:
                    given = {} if past is None else {"memory": past}
                    if name == "softBinomialDeviance":
                        given["semantic"] = semantic

                    def of_batch(x, ids, memory=None, **more):
                        return loss(Pairs(x, ids, memory), **more, **options)

                    cases.append(loss_case(name, of_batch, items, unit((len(items), dimension), salt), options, **given))
    return cases


def proxy_cases():
    cases = []
    for salt, (items, classes, dimension) in enumerate([([0, 0, 1, 1, 2, 2], 3, 4), ([6, 1, 6, 1, 0], 9, 3)]):
        for name, loss, settings in [
            ("normalizedSoftmax", normalized_softmax, [{}, {"temperature": 0.2, "labelSmoothing": 0.1}]),
            ("proxyAnchor", proxy_anchor, [{}, {"alpha": 6.0, "margin": 0.3}]),
        ]:
            for options in settings:
                cases.append(
                    loss_case(
                        name,
                        lambda x, ids, proxies: loss(x, ids, proxies, **options),
                        items,
                        unit((len(items), dimension), 40 + salt),
                        options,
                        proxies=sequence((classes, dimension), 50 + salt),
                    )
                )
    return cases


def ensemble_cases():
    cases = []
    for salt, (items, sizes) in enumerate(zip(ITEMS, [[2, 3, 4], [3, 3]])):
        memory = {
            "embeddings": ensemble_rows(3, sizes, 60 + salt),
            "items": torch.tensor([items[0], items[3], 77]),
            "filled": torch.tensor([True, True, True]),
        }
        for given in [{}, {"memory": memory}]:
            cases.append(
                loss_case(
                    "boostedEnsemble",
                    lambda x, ids, **more: boosted_ensemble(x, ids, sizes, **more),
                    items,
                    ensemble_rows(len(items), sizes, 70 + salt),
                    {"sizes": sizes},
                    **given,
                )
            )
    return cases


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
    "losses": [*pair_cases(), *proxy_cases(), *ensemble_cases()],
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
# A case a line, so that a difference shows which.
groups = [f' "{name}": [\n' + ",\n".join("  " + json.dumps(case) for case in group) + "\n ]" for name, group in cases.items()]
pathlib.Path(__file__).with_name("losses.json").write_text("{\n" + ",\n".join(groups) + "\n}\n")
