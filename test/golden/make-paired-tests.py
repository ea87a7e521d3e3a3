"""Golden values of paired t tests: scipy.stats.ttest_rel. Prints JSON for paired-tests.json."""
import json

from scipy import stats

CASES = [
    ([0.43, 0.41, 0.45, 0.44, 0.40], [0.41, 0.405, 0.43, 0.445, 0.38]),
    ([0.43, 0.41], [0.41, 0.405]),
    ([0.5, 0.7, 0.6, 0.9], [0.1, 0.2, 0.15, 0.3]),
    ([0.1, 0.4, 0.2, 0.3, 0.25, 0.31, 0.29], [0.12, 0.35, 0.26, 0.33, 0.21, 0.33, 0.28]),
]

cases = []
for a, b in CASES:
    test = stats.ttest_rel(a, b)
    low, high = test.confidence_interval(0.95)
    cases.append({"a": a, "b": b, "low": float(low), "high": float(high), "pValue": float(test.pvalue)})
print(json.dumps(cases, indent=2))
