"""Golden values of retrieval metrics: python3 make-metrics.py > metrics.json (numpy and scipy).

Written from the definitions in docs/metrics.md, one query and one pair at a time, and with nothing of ours: it shares no
code and no idea of how to be quick with src/evaluation.
"""

import json
import math

import numpy as np
from scipy.stats import skew, spearmanr

TIE = 1e-12
K = (1, 5, 10)
LEVELS = ("item_id", "look", "category")


def unit(rows):
    out = np.zeros(rows.shape, dtype=np.float64)
    for i, row in enumerate(rows.astype(np.float64)):
        length = math.sqrt(float((row * row).sum()))
        if length > 0:
            out[i] = row / length
    return out


def ranking(similarities, gains):
    """Places from the most similar down; what is tied comes with the lesser gain first."""
    order = sorted(range(len(gains)), key=lambda i: -similarities[i])
    result, start = [], 0
    while start < len(order):
        end = start
        while end < len(order) and similarities[order[end]] >= similarities[order[start]] - TIE:
            end += 1
        result += sorted(order[start:end], key=lambda i: gains[i])
        start = end
    return result


def dcg(gains):
    return sum(gain / math.log2(2 + place) for place, gain in enumerate(gains))


def jaccard(a, b):
    common = every = 0
    for name in a:
        x, y = set(a[name]), set(b[name])
        if x and y:
            common += len(x & y)
            every += len(x | y)
    return common / every if every else None


def mean(values):
    values = [value for value in values if value is not None]
    return sum(values) / len(values) if values else None


def judge(case):
    vectors = unit(np.array(case["embeddings"], dtype=np.float32))
    rows = case["rows"]
    levels = case["levels"]
    count = len(levels)
    queries = [i for i, row in enumerate(rows) if row["role"] != "gallery"]
    answers = [i for i, row in enumerate(rows) if row["role"] != "query"]
    per_level = {level: [] for level in levels}
    reasons = {level: {"unknown-label": 0, "nothing-relevant": 0, "only-own-source": 0} for level in levels}
    everywhere = {"unknown-label": 0, "nothing-relevant": 0, "only-own-source": 0}
    graded = []
    attributes, correlations = [], []
    for q in queries:
        gallery = [
            g for g in answers if g != q and not (case["cross"] and rows[g]["source"] == rows[q]["source"])
        ]
        similarities = [float(vectors[q] @ vectors[g]) for g in gallery]
        why = []
        for level in levels:
            own = rows[q][level]
            relevant = [own != "" and rows[g][level] == own for g in gallery]
            if not any(relevant):
                anywhere = any(g != q and own != "" and rows[g][level] == own for g in answers)
                why.append("unknown-label" if own == "" else "only-own-source" if anywhere else "nothing-relevant")
                reasons[level][why[-1]] += 1
                continue
            hits = [relevant[i] for i in ranking(similarities, relevant)]
            total = sum(hits)
            precisions = [sum(hits[: k + 1]) / (k + 1) for k in range(len(hits))]
            figures = {f"recall@{k}": float(any(hits[:k])) for k in K}
            figures["map@r"] = sum(precisions[k] for k in range(total) if hits[k]) / total
            figures["r-precision"] = sum(hits[:total]) / total
            figures["map"] = sum(precisions[k] for k in range(len(hits)) if hits[k]) / total
            per_level[level].append(figures)
        if len(why) == count:
            for reason in ("only-own-source", "nothing-relevant", "unknown-label"):
                if reason in why:
                    everywhere[reason] += 1
                    break
        agreed = []
        for g in gallery:
            finest = [i for i, level in enumerate(levels) if rows[q][level] != "" and rows[q][level] == rows[g][level]]
            agreed.append(count - finest[0] if finest else 0)
        if any(agreed):
            ranked = [agreed[i] for i in ranking(similarities, agreed)]
            rel = [level / count for level in ranked]
            hap = sum(
                (rel[k] + sum(min(rel[k], rel[j]) for j in range(k))) / (k + 1)
                for k in range(len(rel))
                if rel[k] > 0
            ) / sum(rel)
            ideal = sorted(ranked, reverse=True)
            depths = range(1, sum(level > 0 for level in ranked) + 1)
            shares = []
            for n in depths:
                left, common = list(ranked[:n]), 0
                for level in ideal[:n]:
                    if level in left:
                        left.remove(level)
                        common += 1
                shares.append(common / n)
            gains = [2.0**level - 1 for level in ranked]
            best = sorted(gains, reverse=True)
            graded.append(
                {
                    "hap": hap,
                    "asi": sum(shares) / len(shares),
                    "ndcg@10": dcg(gains[:10]) / dcg(best[:10]),
                    "ndcg": dcg(gains) / dcg(best),
                }
            )
        judged = []
        for i, g in enumerate(gallery):
            same = rows[q]["item_id"] != "" and rows[g]["item_id"] == rows[q]["item_id"]
            gain = jaccard(case["attributes"][q], case["attributes"][g])
            if not same and gain is not None:
                judged.append((similarities[i], gain))
        if any(gain > 0 for _, gain in judged):
            near, gains = zip(*judged)
            ranked = [gains[i] for i in ranking(near, gains)]
            attributes.append(dcg(ranked[:10]) / dcg(sorted(gains, reverse=True)[:10]))
        if len({gain for _, gain in judged}) > 1:
            # numbers that differ by rounding alone are one value
            near, gains = zip(*judged)
            snapped = np.round(np.array(near), 11)
            correlations.append(0.0 if len(set(snapped)) == 1 else float(spearmanr(snapped, gains).statistic))
    return {
        "levels": {
            level: {
                **{
                    name: mean([figures[name] for figures in per_level[level]])
                    for name in [f"recall@{k}" for k in K] + ["map@r", "r-precision", "map"]
                },
                "queries": len(per_level[level]),
                "skipped": reasons[level],
            }
            for level in levels
        },
        **{name: mean([figures[name] for figures in graded]) for name in ("hap", "asi", "ndcg@10", "ndcg")},
        "attributes": {
            "ndcg@10": mean(attributes),
            "spearman": mean(correlations),
            "queries": len(attributes),
            "spearman-queries": len(correlations),
        },
        "queries": len(graded),
        "skipped": everywhere,
        "health": health(vectors, [row["item_id"] for row in rows]),
    }


def health(vectors, items):
    kept = [i for i in range(len(items)) if vectors[i].any()]
    positive, negative, squared, potential = [], [], [], []
    for i in kept:
        for j in kept:
            if i == j:
                continue
            distance = float(((vectors[i] - vectors[j]) ** 2).sum())
            potential.append(math.exp(-2 * distance))
            if items[i] == "" or items[j] == "":
                continue
            if items[i] == items[j]:
                squared.append(distance)
                positive.append(float(vectors[i] @ vectors[j]))
            else:
                negative.append(float(vectors[i] @ vectors[j]))
    sample = vectors[kept]
    singular = np.linalg.svd(sample - sample.mean(axis=0), compute_uv=False)
    singular[singular < 1e-6 * singular.max()] = 0
    varied = singular.sum() > 1e-7 * len(kept)
    share = singular / singular.sum() if varied else singular
    cumulated = np.cumsum(singular**2) / (singular**2).sum() if varied else None
    nearest = np.zeros(len(kept))
    for i in range(len(kept)):
        cosines = sample @ sample[i]
        others = sorted((j for j in range(len(kept)) if j != i), key=lambda j: (-cosines[j], j))
        for j in others[:10]:
            nearest[j] += 1
    return {
        "alignment": mean(squared),
        "uniformity": math.log(sum(potential) / len(potential)),
        "cosine": {"positives": mean(positive), "negatives": mean(negative)},
        "effectiveRank": math.exp(-sum(p * math.log(p) for p in share if p > 0)) if varied else None,
        "spectralDecay": float(-np.mean(np.log(len(share) * np.maximum(1e-9, share)))) if varied else None,
        "directions": {
            f"{percent}%": int(np.argmax(cumulated >= percent / 100 - 1e-9)) + 1 for percent in (50, 90, 99)
        }
        if varied
        else None,
        "hubness": float(skew(nearest)) if nearest.std() > 0 else None,
        "rows": len(kept),
        "zeroRows": len(items) - len(kept),
    }


def make(name, seed, n, d, *, levels=LEVELS, roles=False, cross=False, change=None, labels=None):
    rng = np.random.default_rng(seed)
    items = rng.integers(0, max(1, n // 3), n)
    embeddings = rng.normal(size=(n, d)) + 0.8 * rng.normal(size=(n, d))[items]
    embeddings = np.round(embeddings * rng.uniform(0.2, 5, size=(n, 1)), 2)
    rows = [
        {
            "item_id": f"i{item}",
            "look": f"l{item % 7}",
            "category": f"c{item % 7 % 3}",
            "role": str(rng.choice(["query", "gallery", "both"])) if roles else "both",
            "source": str(rng.choice(["a", "b", "c"])),
        }
        for item in items
    ]
    attributes = [
        {
            "colour": [[], ["red"], ["blue"], ["green"]][rng.integers(4)],
            "tags": sorted(set(rng.choice(["round", "soft", "tall", "old"], rng.integers(4)).tolist())),
        }
        for _ in range(n)
    ]
    if change is not None:
        embeddings = change(embeddings, rng)
    if labels is not None:
        labels(rows, rng)
    case = {
        "name": name,
        "levels": list(levels),
        "cross": cross,
        "embeddings": np.array(embeddings, dtype=np.float32).tolist(),
        "rows": rows,
        "attributes": attributes,
    }
    case["expected"] = judge(case)
    case["embeddings"] = [[float(f"{value:.9g}") for value in row] for row in case["embeddings"]]
    return case


def duplicates(embeddings, rng):
    copies = embeddings[rng.integers(0, 6, len(embeddings))]
    return copies * 2.0 ** rng.integers(-2, 3, size=(len(embeddings), 1))  # lengths that float32 holds exactly


def grid(embeddings, rng):
    return rng.integers(-1, 2, size=embeddings.shape)


def crowd(embeddings, rng):
    return np.ones(embeddings.shape) + 1e-3 * rng.normal(size=embeddings.shape)


def zeros(embeddings, rng):
    embeddings[rng.integers(0, len(embeddings), 5)] = 0
    return embeddings


def unknown(rows, rng):
    for row in rows:
        for level in LEVELS:
            if rng.uniform() < 0.3:
                row[level] = ""


def singletons(rows, rng):
    for i, row in enumerate(rows):
        row["item_id"] = f"i{i}"
        row["look"] = f"l{i}" if i % 2 else row["look"]
        row["category"] = f"c{i}" if i % 4 == 1 else row["category"]


def apart(rows, rng):
    """No level contains the next: an item may be in two looks."""
    for row in rows:
        row["look"] = f"l{rng.integers(5)}"
        row["category"] = f"c{rng.integers(3)}"


def sorted_sources(rows, rng):
    for row in rows:
        row["source"] = "a" if int(row["item_id"][1:]) % 2 else row["source"]


def constant(embeddings, rng):
    return np.full(embeddings.shape, 0.3)


if __name__ == "__main__":
    cases = [
        make("random", 1, 48, 6),
        make("one level", 2, 30, 5, levels=("item_id",)),
        make("roles", 3, 48, 6, roles=True),
        make("cross source", 4, 48, 6, cross=True),
        make("cross source, some items of one source only, roles", 5, 48, 6, cross=True, roles=True, labels=sorted_sources),
        make("constant", 6, 30, 4, change=constant),
        make("duplicates of other lengths", 7, 40, 6, change=duplicates),
        make("ties of whole numbers", 8, 48, 3, change=grid, roles=True),
        make("crowded: cosines differ in the seventh place", 9, 36, 4, change=crowd),
        make("rows of zeros", 10, 36, 5, change=zeros),
        make("unknown labels", 11, 48, 6, labels=unknown),
        make("singletons", 12, 36, 5, labels=singletons),
        make("levels that do not nest", 13, 48, 6, labels=apart, roles=True),
        make("fewer rows than any k", 14, 4, 3),
        make("fewer rows than dimensions", 15, 12, 20),
    ]
    print(json.dumps({"made by": "make-metrics.py", "numpy": np.__version__, "cases": cases}))
