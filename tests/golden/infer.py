"""Figures of public libraries for `endcap infer`, one case a line.

Run it again:  python3 -m venv V && V/bin/pip install -r tests/golden/requirements.txt
               V/bin/python tests/golden/infer.py > data/golden/measurement/infer.jsonl

Nothing here shares a formula with the code it checks where a library has its own: Welch, tails and
quantiles are scipy's, lift intervals are found by solving the test itself for the ratio, ratios and
always valid intervals come from gbstats, pooling, Benjamini-Hochberg and sample sizes from
statsmodels.
"""
import json
import math
import random

import numpy as np
from gbstats.frequentist.tests import (
    FrequentistConfig, SequentialConfig, SequentialTwoSidedTTest, TwoSidedTTest,
)
from gbstats.models.statistics import ProportionStatistic, RatioStatistic, SampleMeanStatistic
from scipy import integrate, optimize, special, stats
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower

SEED = random.Random(20261126)


def case(name, source, request, expected):
    print(json.dumps({"name": name, "source": source, "input": request, "expected": expected}))


def moments(values):
    """Mean, variance of the mean, third central moment over n squared: from the values themselves."""
    n = len(values)
    total = sum(values)
    # n·x − S is whole, so nothing cancels.
    apart = [n * x - total for x in values]
    var = sum(a * a for a in apart) / n**2 / (n - 1)
    third = sum(a**3 for a in apart) / n**3 / n
    return total / n, var / n, third / n**2, var


def arm(values, cubes):
    out = {"n": len(values), "sum": sum(values), "sum_squares": str(sum(x * x for x in values))}
    if cubes:
        out["sum_cubes"] = str(sum(x**3 for x in values))
    return out


def crossing(f, center, step):
    """The root of f nearest to center, going by ever wider steps."""
    inside = center
    for _ in range(200):
        outside = inside + step
        if f(inside) * f(outside) <= 0:
            return optimize.brentq(f, inside, outside, xtol=1e-15, rtol=1e-14, maxiter=500)
        inside, step = outside, step * 1.3
    return None


def welch_figures(m_t, v_t, n_t, m_c, v_c, n_c, alpha):
    t = stats.ttest_ind_from_stats(
        m_t, math.sqrt(v_t * n_t), n_t, m_c, math.sqrt(v_c * n_c), n_c, equal_var=False)
    dof = t.df if hasattr(t, "df") else (v_t + v_c) ** 2 / (v_t**2 / (n_t - 1) + v_c**2 / (n_c - 1))
    q = stats.t.isf(alpha / 2, dof)
    se = math.sqrt(v_t + v_c)
    d = m_t - m_c
    out = {
        "/difference/value": d, "/difference/stderr": se, "/difference/t": t.statistic,
        "/difference/dof": dof, "/difference/p": t.pvalue,
        "/difference/interval/0": d - q * se, "/difference/interval/1": d + q * se,
        "/difference/bayes/chance": stats.norm.cdf(d / se),
    }
    if d < 8 * se:
        loss = lambda x: -x * stats.norm.pdf(x, d, se)
        found = integrate.quad(loss, min(d, 0) - 12 * se, 0, points=[d] if d < 0 else None,
                               epsabs=0, epsrel=1e-12, limit=500)
        out["/difference/bayes/expected_loss/ship"] = found[0]
    return out, q, dof


def lift_interval(m_t, v_t, m_c, v_c, q):
    """Ratios that the test does not refuse, by solving it."""
    if m_c <= 0 or m_c**2 <= q * q * v_c:
        return None
    center = m_t / m_c
    step = math.sqrt(v_t + center**2 * v_c) / m_c / 40
    f = lambda ratio: (m_t - ratio * m_c) ** 2 - q * q * (v_t + ratio**2 * v_c)
    return crossing(f, center, -step) - 1, crossing(f, center, step) - 1


def g(t, gamma):
    return t + gamma * t * t / 3 + gamma**2 * t**3 / 27 + gamma / 6


def hall_figures(a, b, q, dof):
    (m_t, v_t, k_t, _), (m_c, v_c, k_c, _) = a, b
    se, d = math.sqrt(v_t + v_c), m_t - m_c
    gamma = (k_t - k_c) / se**3
    out = {"/hall/gamma": gamma, "/hall/p": 2 * stats.t.sf(abs(g(d / se, gamma)), dof)}
    for end, z in ((0, q), (1, -q)):
        # g rises with t, so the root lies on the side where g is on the other side of z.
        step = -1e-3 if g(z, gamma) > z else 1e-3
        out[f"/hall/interval/{end}"] = d - se * crossing(lambda t: g(t, gamma) - z, z, step)
    if m_c > 0 and m_c**2 > q * q * v_c:
        def h(ratio):
            s = math.sqrt(v_t + ratio**2 * v_c)
            return g((m_t - ratio * m_c) / s, (k_t - ratio**3 * k_c) / s**3)
        center = m_t / m_c
        step = math.sqrt(v_t + center**2 * v_c) / m_c / 40
        for end, sign in ((0, 1), (1, -1)):
            root = crossing(lambda ratio: h(ratio) - sign * q, center, -sign * step)
            if root is not None:
                out[f"/hall/lift_interval/{end}"] = root - 1
    return out


def gb_always(a, b, planned, alpha):
    out = {}
    for kind, name in (("absolute", "difference"), ("relative", "lift_delta")):
        config = SequentialConfig(
            sequential_tuning_parameter=planned, alpha=alpha, difference_type=kind, test_value=0)
        found = SequentialTwoSidedTTest(b, a, config).compute_result()
        low, high = found.ci
        out[f"/{name}/interval_always/0"] = low
        out[f"/{name}/interval_always/1"] = high
        out[f"/{name}/p_always"] = found.p_value
    return out


def gb_delta(a, b, alpha):
    config = FrequentistConfig(alpha=alpha, difference_type="relative", test_value=0)
    found = TwoSidedTTest(b, a, config).compute_result()
    out = {"/lift_delta/value": found.expected,
           "/lift_delta/interval/0": found.ci[0], "/lift_delta/interval/1": found.ci[1]}
    if found.p_value > 1e-9:  # it subtracts from 1
        out["/lift_delta/p"] = found.p_value
    return out


def revenue(n, share, mu, sigma):
    return [round(SEED.lognormvariate(mu, sigma)) if SEED.random() < share else 0 for _ in range(n)]


def means():
    shapes = [(12, 5), (40, 10), (800, 200), (8000, 2000), (20000, 5000)]
    for number, (n_t, n_c) in enumerate(shapes * 6):
        share, sigma = SEED.choice([0.03, 0.2, 0.9]), SEED.choice([0.3, 1.0, 1.5])
        shift = SEED.choice([0.0, 0.1, 0.5])
        alpha = SEED.choice([0.05, 0.05, 0.01, 0.1])
        t = revenue(n_t, max(share, 0.3) if n_t < 100 else share, 8 + shift, sigma)
        c = revenue(n_c, max(share, 0.6) if n_c < 100 else share, 8, sigma)
        if len(set(t)) < 2 or len(set(c)) < 2:
            continue
        a, b = moments(t), moments(c)
        expected, q, dof = welch_figures(a[0], a[1], n_t, b[0], b[1], n_c, alpha)
        lift = lift_interval(a[0], a[1], b[0], b[1], q)
        if lift:
            expected |= {"/lift/value": a[0] / b[0] - 1,
                         "/lift/interval/0": lift[0], "/lift/interval/1": lift[1]}
        else:
            expected |= {"/lift/value": None}
        expected["/lift_customary"] = (sum(t) + sum(c)) / (n_t + n_c) / b[0] - 1
        expected |= hall_figures(a, b, q, dof)
        planned = SEED.choice([1000, 60000, 700000])
        stat = [SampleMeanStatistic(n=len(v), sum=sum(v), sum_squares=sum(x * x for x in v)) for v in (t, c)]
        expected |= gb_delta(*stat, alpha) | gb_always(*stat, planned, alpha)
        request = {"id": f"mean-{number}", "method": "compare", "metric": "mean", "alpha": alpha,
                   "planned_sessions": planned, "shown": arm(t, True), "withheld": arm(c, True)}
        case(f"mean {number}: {n_t} and {n_c} sessions", "scipy, gbstats", request, expected)


def proportions():
    for number, (n_t, x_t, n_c, x_c) in enumerate(
            [(10000, 812, 2500, 190), (1000000, 31000, 250000, 7400), (80, 8, 20, 3)]):
        p_t, p_c = x_t / n_t, x_c / n_c
        expected, q, _ = welch_figures(
            p_t, p_t * (1 - p_t) / n_t, n_t, p_c, p_c * (1 - p_c) / n_c, n_c, 0.05)
        stat = [ProportionStatistic(n=n_t, sum=x_t), ProportionStatistic(n=n_c, sum=x_c)]
        expected |= gb_delta(*stat, 0.05)
        request = {"id": f"share-{number}", "method": "compare", "metric": "proportion",
                   "shown": {"n": n_t, "sum": x_t}, "withheld": {"n": n_c, "sum": x_c}}
        case(f"proportion {number}", "scipy, gbstats", request, expected)


def ratios():
    for number, (n_t, n_c) in enumerate([(400, 100), (8000, 2000), (40, 10)] * 3):
        def sessions(n, rate):
            shown = [SEED.randint(1, 60) for _ in range(n)]
            return [(sum(SEED.random() < rate for _ in range(k)), k) for k in shown]
        t, c = sessions(n_t, 0.06), sessions(n_c, 0.05)

        def own(pairs):
            r = sum(p[0] for p in pairs) / sum(p[1] for p in pairs)
            n, m = len(pairs), sum(p[1] for p in pairs) / len(pairs)
            linear = [(p[0] - r * p[1]) / m for p in pairs]
            return r, sum(x * x for x in linear) / (n - 1) / n

        (r_t, v_t), (r_c, v_c) = own(t), own(c)
        expected, q, _ = welch_figures(r_t, v_t, n_t, r_c, v_c, n_c, 0.05)
        lift = lift_interval(r_t, v_t, r_c, v_c, q)
        if lift:
            expected |= {"/lift/interval/0": lift[0], "/lift/interval/1": lift[1]}

        def stat(pairs):
            part = lambda i: SampleMeanStatistic(
                n=len(pairs), sum=sum(p[i] for p in pairs), sum_squares=sum(p[i] ** 2 for p in pairs))
            return RatioStatistic(n=len(pairs), m_statistic=part(0), d_statistic=part(1),
                                  m_d_sum_of_products=sum(p[0] * p[1] for p in pairs))

        expected |= gb_delta(stat(t), stat(c), 0.05)
        as_arm = lambda pairs: {
            "n": len(pairs), "num_sum": sum(p[0] for p in pairs), "den_sum": sum(p[1] for p in pairs),
            "num_sum_squares": sum(p[0] ** 2 for p in pairs),
            "den_sum_squares": sum(p[1] ** 2 for p in pairs),
            "num_den_sum": sum(p[0] * p[1] for p in pairs)}
        request = {"id": f"ratio-{number}", "method": "compare", "metric": "ratio",
                   "shown": as_arm(t), "withheld": as_arm(c)}
        case(f"ratio {number}: {n_t} and {n_c} sessions", "scipy, gbstats", request, expected)


def checks():
    for weights, observed in [([80, 20], [19830, 5170]), ([80, 20], [80640, 19360]), ([1, 1, 2], [90, 110, 205])]:
        n = sum(observed)
        found = stats.chisquare(observed, [w / sum(weights) * n for w in weights])
        case("srm", "scipy", {"method": "srm", "weights": weights, "observed": observed},
             {"/chi_square": found.statistic, "/p": found.pvalue, "/alarm": bool(found.pvalue < 0.001)})
    days = [[SEED.randint(7700, 8100), SEED.randint(1900, 2000)] for _ in range(14)]
    a = [8000.0, 2000.0]
    seen, best = [0, 0], 0.0
    for day in days:
        seen = [x + y for x, y in zip(seen, day)]
        ln = (special.gammaln(sum(a)) - special.gammaln(sum(a) + sum(seen))
              + sum(special.gammaln(p + x) - special.gammaln(p) - x * math.log(w)
                    for p, x, w in zip(a, seen, (0.8, 0.2))))
        best = max(best, ln)
    case("srm day by day", "scipy", {"method": "srm-sequential", "weights": [0.8, 0.2], "blocks": days},
         {"/ln_bayes_factor": ln, "/p": min(1.0, math.exp(-best))})
    p = [SEED.random() ** 3 for _ in range(40)] + [0.03, 0.03]
    adjusted = multipletests(p, method="fdr_bh")[1]
    case("bh", "statsmodels", {"method": "bh", "p": p},
         {f"/adjusted/{i}": value for i, value in enumerate(adjusted)})
    for lifts, variances in [([0.03, 0.05, -0.01], [3e-4, 5e-4, 2e-4]), ([0.1, 0.12, 0.11, 0.09], [0.01, 0.02, 0.01, 0.015])]:
        found = combine_effects(np.array(lifts), np.array(variances), method_re="dl")
        case("markets", "statsmodels", {"method": "markets", "lifts": lifts, "variances": variances},
             {"/fixed/value": found.mean_effect_fe, "/fixed/stderr": found.sd_eff_w_fe,
              "/heterogeneity/q": found.q, "/heterogeneity/tau2": max(found.tau2, 0)}
             # The library goes on with a negative variance between markets.
             | ({"/random/value": found.mean_effect_re, "/random/stderr": found.sd_eff_w_re}
                if found.tau2 > 0 else {"/random/value": found.mean_effect_fe}))
    for mean, sd, share, lift, power in [(90, 700, 0.8, 0.04, 0.8), (0.05, 0.22, 0.5, 0.1, 0.9), (3, 40, 0.95, 0.2, 0.5)]:
        n = NormalIndPower().solve_power(lift * mean / sd, alpha=0.05, power=power, ratio=(1 - share) / share)
        case("power", "statsmodels",
             {"method": "power", "mean": mean, "sd": sd, "share_shown": share, "lift": lift, "power": power},
             {"/sessions": n / share, "/sessions_withheld": n / share * (1 - share)})


# The golden rows that the product was specified by, to ten figures.
W1 = {"method": "compare", "metric": "mean", "shown": {"n": 12, "sum": 60, "sum_squares": 420},
      "withheld": {"n": 5, "sum": "15", "sum_squares": "65"}}
W2 = {"method": "compare", "metric": "mean", "planned_sessions": 60000,
      "shown": {"n": 40000, "sum": 10260723, "sum_squares": 171587960975, "sum_cubes": 5505869607138975},
      "withheld": {"n": 10000, "sum": 2382226, "sum_squares": 39807510924, "sum_cubes": 1123438970769094}}


def specified():
    case("W1", "specification", W1, {
        "/difference/value": 2, "/difference/stderr": 1.381698559, "/difference/dof": 11.20970537,
        "/difference/p": 0.1751413018, "/lift/value": 2 / 3,
        "/lift/interval/0": -0.2302944786, "/lift/interval/1": 5.411267081})
    case("W2", "specification", W2, {
        "/difference/value": 18.295475, "/difference/stderr": 22.31679704,
        "/difference/dof": 15817.87967, "/difference/p": 0.4123382734,
        "/difference/interval/0": -25.44799064, "/difference/interval/1": 62.03894064,
        "/lift/value": 0.07679991319, "/lift/interval/0": -0.09344795495, "/lift/interval/1": 0.3058276959,
        "/hall/gamma": -0.09098564367, "/hall/t": 0.7844287081, "/hall/p": 0.4328003457,
        "/hall/interval/0": -28.72734855, "/hall/interval/1": 59.36557578,
        "/hall/lift_interval/0": -0.1032826715, "/hall/lift_interval/1": 0.2867558098,
        "/always/kappa2": 0.0001322692434, "/always/q_n": 3.038794104,
        "/difference/e": 0.4852675868, "/difference/interval_always/1": 18.295475 + 67.81615126,
        "/lift/interval_always/0": -0.1704400429, "/lift/interval_always/1": 0.470943334,
        "/difference/bayes/chance": 0.7938370395,
        "/difference/bayes/expected_loss/ship": 2.590253937,
        "/difference/bayes/expected_loss/keep": 20.88572894})
    pair = lambda n, num, den, nn, dd, nd: {
        "n": n, "num_sum": num, "den_sum": den, "num_sum_squares": nn, "den_sum_squares": dd, "num_den_sum": nd}
    case("ratio", "specification", {
        "method": "compare", "metric": "ratio", "withheld": pair(2500, 1400, 30000, 3600, 520000, 30500),
        "shown": pair(10000, 6300, 121000, 17000, 2100000, 136000)}, {
        "/withheld/mean": 0.04666666667, "/shown/mean": 0.05206611570, "/difference/stderr": 0.001636726904,
        "/difference/dof": 4004.231290, "/difference/p": 0.0009790215941})
    two = {"weights": [0.8, 0.2]}
    case("SRM", "specification", {"method": "srm", "observed": [19830, 5170], **two},
         {"/chi_square": 7.225, "/p": 0.007189517, "/alarm": False})
    case("SRM", "specification", {"method": "srm", "observed": [39700, 10300], **two},
         {"/chi_square": 11.25, "/p": 0.000796230, "/alarm": True})
    case("SRM sequential", "specification", {"method": "srm-sequential", "blocks": [[19830, 5170]], **two},
         {"/ln_bayes_factor": 1.929528095})
    case("SRM sequential", "specification", {"method": "srm-sequential", "blocks": [[39700, 10300]], **two},
         {"/ln_bayes_factor": 3.753466262, "/p": 0.02343637, "/alarm": False})
    case("BH", "specification", {"method": "bh", "p": [0.004, 0.03, 0.012, 0.5, 0.03, 0.9]},
         {f"/adjusted/{i}": p for i, p in enumerate([0.024, 0.045, 0.036, 0.6, 0.045, 0.9])})
    figure = {"method": "power", "mean": 90, "sd": 700, "share_shown": 0.8}
    case("power", "specification", {**figure, "lift": 0.04, "power": 0.8}, {"/sessions": 1854717.231})
    case("power 50/50", "specification", {**figure, "share_shown": 0.5, "lift": 0.04, "power": 0.8},
         {"/sessions": 1187019.028})
    case("MDE", "specification", {**figure, "sessions": 200000, "power": 0.8}, {"/lift": 0.1218102535})
    case("power", "specification", {**figure, "sessions": 200000, "lift": 0.03}, {"/power": 0.1060715254})
    case("markets", "specification", {
        "method": "markets", "lifts": [0.03, 0.05, -0.01], "variances": [0.0003, 0.0005, 0.0002]},
        {"/fixed/value": 0.01451612903, "/heterogeneity/q": 6.322580645, "/heterogeneity/tau2": 0.00067,
         "/random/value": 0.02048353189, "/random/stderr": 0.01815167848})


specified()
means()
proportions()
ratios()
checks()
