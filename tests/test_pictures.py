"""What is drawn shows what is there: colours, places and counts are read back from the pictures' numbers."""

import math
import statistics
from dataclasses import replace
from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import make_problem
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lab import launch, spectrum
from lab.display import CHARTS
from lab.errors import InputError
from lab.losses.sigmoid import Sigmoid
from lab.losses.softmax import Softmax
from lab.picture.canvas import smooth
from lab.picture.counts import histogram, histogram_of_sizes
from lab.picture.palette import diverging, sequential
from lab.probe import Step
from lab.probes import hessian_map, landscape, waterfall
from lab.probes._leading import leading
from lab.probes.eigenvectors import Eigenvectors, grid, laid_out
from lab.probes.hessian_map import HessianMap
from lab.probes.histograms import Histograms
from lab.probes.landscape import Landscape
from lab.probes.waterfall import BINS, LOW, PER_DECADE, Waterfall
from lab.record import Histogram, Picture
from lab.spread import spread, write_spread


@pytest.fixture
def step(rng) -> Step:
    problem, theta = make_problem(rng)
    value, gradient = problem.value_and_gradient(theta)
    return Step(0, problem, problem, None, theta, value, gradient, theta - gradient, 1.0)


def pixels(picture: Picture) -> np.ndarray:
    image = Image.open(BytesIO(picture.png)).convert("RGB")
    assert image.size == (picture.width, picture.height)
    return np.asarray(image)


def test_opposite_numbers_have_opposite_colours_and_what_is_no_number_is_grey():
    red, white, blue, grey = diverging(np.array([1.0, 0.0, -1.0, math.nan]))
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert (white > 240).all()
    assert len(set(grey.tolist())) == 1
    luminance = sequential(np.linspace(0, 1, 50)).astype(float) @ [0.2, 0.7, 0.1]
    assert (np.diff(luminance) > 0).all()


def test_smoothing_goes_through_every_point_and_straight_between_them():
    grid = np.arange(12.0).reshape(3, 4) ** 2
    fine = smooth(grid, 5, 7)
    assert np.allclose(fine[::2, ::2], grid)
    assert fine[1, 0] == pytest.approx((grid[0, 0] + grid[1, 0]) / 2)


def test_a_heat_map_has_the_colour_of_each_entry_at_its_classes_place(step):
    D, K = step.theta.shape
    H = step.problem.hessian(step.theta)
    picture = hessian_map.draw(H, D, tuple("abcd"), 0)
    seen, cell = pixels(picture), hessian_map.SIDE // (D * K)
    largest = float(H.abs().max())
    for (k, d), (l, e) in [((0, 0), (0, 0)), ((1, 2), (3, 4)), ((3, 1), (0, 2))]:
        y, x = (round((k_ * D + d_ + 0.5) * cell) for k_, d_ in ((k, d), (l, e)))
        entry = float(H[d * K + k, e * K + l])
        expected = diverging(np.array(math.copysign(math.sqrt(abs(entry) / largest), entry)))
        assert seen[hessian_map.TOP + y, hessian_map.LEFT + x].tolist() == expected.tolist()


def test_a_heat_map_with_more_entries_than_pixels_shows_the_largest_of_each_cell():
    D, K = 150, 4
    H = torch.zeros(D * K, D * K, dtype=torch.float64)
    H[7 * K + 2, 100 * K + 1] = H[100 * K + 1, 7 * K + 2] = -3.0
    pooled, by = hessian_map._pooled(hessian_map.by_class(H, D, K), 2)
    assert (by, pooled.shape) == (2, (300, 300))
    assert pooled[2 * 75 + 3, 1 * 75 + 50] == -3.0
    assert np.count_nonzero(pooled) == 2


def test_a_hessian_too_large_to_draw_is_left_out_with_the_reason(step):
    (words,) = HessianMap(most=10).measure(step).values()
    assert words == "20 parameters are more than probes.hessian_map.most, 10"


def test_the_leading_vectors_are_those_of_the_dense_solver_and_found_once(step):
    values, vectors = leading(step)
    found = spectrum.dense(step.problem.hessian(step.theta), vectors=True)
    assert torch.allclose(values, found.values[:5], rtol=1e-5)
    overlap = (vectors.T @ found.vectors[:, :5]).abs().diagonal()
    assert bool((overlap > 0.99).all())
    assert leading(step)[1] is vectors
    assert bool((vectors.gather(0, vectors.abs().argmax(0, keepdim=True)) > 0).all())


def test_nothing_is_drawn_of_a_hessian_that_is_not_finite(step):
    step = replace(step, theta=step.theta * math.nan, features=("p_0_0", "p_0_1", "p_1_0", "p_1_1", "intercept"))
    for probe in (HessianMap(), Eigenvectors(), Landscape(), Waterfall()):
        assert probe.measure(step) == {}


def test_features_are_pixels_by_their_names_alone():
    names = (*(f"pixel_{r}_{c}" for r in range(2) for c in range(3)), "intercept")
    places = grid(names)
    assert places.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2], [-1, -1]]
    images = laid_out(np.arange(14.0).reshape(2, 7), places)
    assert images[1].tolist() == [[7, 8, 9], [10, 11, 12]]
    assert grid(("sepal length", "intercept")) is None
    assert grid(("a_1_1", "b_1_1")) is None
    assert grid(("x_0_1", "x_5000_3")) is None
    assert grid(("intercept",)) is None


def test_eigenvectors_are_drawn_where_features_are_pixels_and_only_there(step):
    assert Eigenvectors().measure(step) == {}
    named = replace(step, features=("p_0_0", "p_0_1", "p_1_0", "p_1_1", "intercept"))
    assert pixels(Eigenvectors().measure(named)["picture/eigenvectors"]).shape[0] > 100


def test_the_landscape_is_the_loss_where_it_says(step):
    _, vectors = leading(step)
    V, places = vectors[:, :2], [np.linspace(-1, 1, 3), np.linspace(-2, 2, 5)]
    seen = landscape._losses(step.problem, step.theta, V, places)
    # Three parts of a logit round to float32, and so do their two sums; a loss moves by no more than twice its logits.
    logits = [step.problem.model.forward(step.problem.X, W.reshape(step.theta.shape)) for W in (step.theta, *V.T)]
    reach = sum(r * float(z.abs().max()) for r, z in zip((1, 1, 2), logits, strict=True))
    off = 2 * 4 * reach * torch.finfo(torch.float32).eps
    for i, b in enumerate(places[1]):
        for j, a in enumerate(places[0]):
            there = step.theta + (a * V[:, 0] + b * V[:, 1]).reshape(step.theta.shape)
            assert seen[i, j] == pytest.approx(float(step.problem.value(there)), abs=off)


def test_the_path_ends_at_the_steps_own_place_and_forgets_evenly(step):
    probe, memory = Landscape(every=1000), {}
    for t in range(200):
        probe.measure(replace(step, t=t, theta=step.theta + t, memory=memory))
    kept = [float((theta - step.theta).mean()) for theta in memory["path"]]
    assert len(kept) <= landscape.STOPS
    assert len({round(b - a) for a, b in pairwise(kept)}) == 1
    picture = probe.measure(replace(step, t=200, after=None, memory=memory))["picture/landscape"]
    middle = pixels(picture)[landscape.TOP + landscape.SIDE // 2, landscape.LEFT + landscape.SIDE // 2]
    assert middle[0] > 180 > 100 > middle[1]  # the red dot


def test_a_part_of_the_rows_is_said_to_be_one(step):
    few, words = landscape._fewer(step.problem, 5)
    assert (few.N, words) == (5, ", every 3th row")
    assert few.shape == step.problem.shape


def test_every_eigenvalue_is_counted_once_by_sign_and_size():
    values = torch.tensor([10.0, 0.5, 1e-9, -1e-12, -3.0], dtype=torch.float64)
    counts = waterfall.counted(spectrum.Spectrum(values, 1e-8, ""))
    assert int(counts.sum()) == 5
    assert int(counts[BINS]) == 2
    assert int(counts[BINS + 1 + (1 - LOW) * PER_DECADE]) == 1
    assert counts[:BINS].nonzero().tolist() == [[BINS - 1 - math.floor((math.log10(3) - LOW) * PER_DECADE)]]


def test_the_waterfall_draws_what_the_spectrum_probe_found_and_keeps_signs_apart(step):
    found = spectrum.Spectrum(torch.tensor([1.0, 0.1, 0.0, -2.0], dtype=torch.float64), 1e-9, "")
    shown = Waterfall().measure(replace(step, seen={"spectrum": found}))
    assert shown["distribution/log10_eigenvalues/positive"].counts.sum() == 2
    assert shown["distribution/log10_eigenvalues/negative"].counts.sum() == 1
    assert pixels(shown["picture/spectrum"]).size
    assert Waterfall().measure(replace(step, seen={}, memory={})) == {}


def test_a_step_is_named_below_its_own_column_however_unevenly_spectra_were_measured():
    assert waterfall.ticks([0, 1, 12]) == [(0.5 / 3, 0), (1.5 / 3, 1), (2.5 / 3, 12)]
    assert waterfall.ticks([7]) == [(0.5, 7)]
    steps = [i * i for i in range(200)]
    named = waterfall.ticks(steps)
    assert len(named) == 5
    assert (named[0][1], named[-1][1]) == (0, 199 * 199)
    assert all(steps[int(at * 200)] == step for at, step in named)


def test_histograms_count_every_finite_value():
    assert histogram(np.array([1.0, 2.0, math.nan, math.inf])).counts.sum() == 2
    assert histogram(np.array([math.nan])) is None
    sizes = histogram_of_sizes(np.array([0.0, 1e-5, -1e3]))
    assert (sizes.edges[0], sizes.edges[-1], sizes.counts.sum()) == (-5.0, 3.0, 2.0)
    assert histogram_of_sizes(np.zeros(3)) is None


def test_a_margin_is_negative_where_and_only_where_the_prediction_is_wrong(rng):
    for loss in (Softmax(), Sigmoid()):
        for z, y in loss.examples(rng):
            margin = loss.margin(z, y)
            right = (margin > 0).to(z.dtype).reshape(len(z), -1).mean(dim=1)
            tied = (margin == 0).reshape(len(z), -1).any(dim=1)
            left_out = margin.isnan().reshape(len(z), -1).any(dim=1)
            kept = ~tied & ~left_out
            assert torch.equal(right[kept], loss.correct(z, y)[kept])


def test_the_margins_of_a_step_are_all_there(step):
    shown = Histograms().measure(step)
    assert set(shown) == {f"distribution/{name}" for name in ("weights", "gradient", "log10_gradient", "margins")}
    assert all(isinstance(one, Histogram) for one in shown.values())
    assert shown["distribution/margins"].counts.sum() == step.problem.N
    assert shown["distribution/weights"].counts.sum() == step.theta.numel()


def test_mean_and_spread_over_seeds_are_a_run_of_their_own(tiny, tmp_path):
    tiny |= {"init": 0.5, "steps": 2, "probes": {"fit": {}}}
    runs = [launch.train({**tiny, "seed": seed}, runs=tmp_path) for seed in range(3)]
    folder = tmp_path / "tiny" / "seeds"
    for _ in range(2):  # a second time it takes the first one's place
        write_spread(folder, [run.path for run in runs])
    (path,) = folder.iterdir()
    events = EventAccumulator(str(path), size_guidance={"scalars": 0}).Reload()
    losses = [run.metrics.rows[1]["loss/train"] for run in runs]
    mean, deviation = statistics.fmean(losses), statistics.stdev(losses)
    for end, value in (("", mean), ("/lower", mean - deviation), ("/upper", mean + deviation), ("/middle", mean)):
        assert events.Scalars(f"seeds/loss/train{end}")[1].value == pytest.approx(value, rel=1e-6)
    assert events.Scalars("loss/train")[1].value == events.Scalars("seeds/loss/train")[1].value
    with pytest.raises(InputError, match="two runs or more, got 1"):
        write_spread(folder, [runs[0].path])


def test_a_number_that_one_seed_alone_has_is_not_averaged():
    rows = [
        [{"step": 0, "a": 1.0, "b": 1.0, "a/lower": 0.0}],
        [{"step": 0, "a": 3.0, "b": math.nan}, {"step": 1, "a": 1.0}],
    ]
    ends = {"seeds/a/lower": 2 - math.sqrt(2), "seeds/a/upper": 2 + math.sqrt(2)}
    assert list(spread(rows)) == [(0, {"a": 2.0, "seeds/a": 2.0, **ends})]


def test_the_spread_over_seeds_and_the_interval_of_a_run_are_never_in_one_chart():
    rows = [[{"step": 0, "curvature/lambda_1": x, "curvature/lambda_1/lower": x}] for x in (1.0, 3.0)]
    ((_, readings),) = spread(rows)
    bands = [tag for charts in CHARTS.values() for chart in charts for tag in chart.bands]
    assert "curvature/lambda_1" in bands
    assert not [tag for tag in bands if f"{tag}/lower" in readings]
