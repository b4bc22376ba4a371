"""Runs of shards joined into one: what belongs together, what is missing, what is refused."""

from dataclasses import astuple, replace
from pathlib import Path

import pytest

from upsampler_bench import storage
from upsampler_bench.case import Case, Settings
from upsampler_bench.cluster.merge import merge
from upsampler_bench.errors import ResultsError
from upsampler_bench.results import (
    COMPLETE,
    INTERRUPTED,
    PARTIAL,
    Environment,
    Measurement,
    MetricInfo,
    Origin,
    Raster,
    Reading,
    Run,
    Scene,
    UpsamplerInfo,
)

NAMES = ("bilinear", "carafe")
SIZES = (8, 16, 24, 32)
GROUPS = [Case("", height=size).group for size in SIZES]
PLAN = {"name": "sizes", "conditions": GROUPS}
VERSIONS = {"torch": "2.13.0", "driver": "570.1"}


def measured(size, host="a", factor=1.0, status="measured"):
    """One condition, on the host's only GPU."""
    origin = Origin(host, "cuda:0", f"GPU-{host}")
    rounds = tuple(((1.0 + index / 100) * factor,) for index in range(9))
    return tuple(
        Measurement(Case(name, height=size), status, "", (Reading("latency", rounds, "clock"),), origin=origin)
        for name in NAMES
    )


def shard(number, count=2, host="a", sizes=None, ended=COMPLETE, **environment):
    sizes = SIZES[number - 1 :: count] if sizes is None else sizes
    return Run(
        replace(Environment("NVIDIA H100", "cuda", VERSIONS, {"host": host}, ({"at": "start"},)), **environment),
        Settings(),
        (MetricInfo("latency", "Latency", "s", "inference"),),
        tuple(map(UpsamplerInfo, NAMES)),
        tuple(one for size in sizes for one in measured(size, host)),
        {**PLAN, "shard": f"{number}/{count}"},
        started=f"2026-11-2{number}",
        finished=f"2026-11-2{number + 1}",
        ended=ended,
    )


def runs(*shards):
    return {Path(f"shard-{place}"): run for place, run in enumerate(shards, 1)}


def test_the_shards_of_a_plan_are_one_complete_run_in_the_order_of_the_plan():
    run, missing = merge(runs(shard(2, host="b"), shard(1)))
    assert missing == ()
    assert run.ended == COMPLETE
    assert [one.case.height for one in run.measurements] == [8, 8, 16, 16, 24, 24, 32, 32]
    assert run.plan == PLAN
    assert (run.started, run.finished) == ("2026-11-21", "2026-11-23")
    assert run.environment.machine == {"host": "b or a"}


def test_scenes_of_all_shards_are_kept():
    scene = Scene("shapes", Raster.pack([[0, 1], [2, 3]]))
    run, _ = merge(runs(shard(1), replace(shard(2), scenes=(scene, scene))))
    assert run.scenes == (scene,)


def test_every_row_keeps_the_device_that_it_was_measured_on(tmp_path):
    run, _ = merge(runs(shard(1), shard(2, host="b")))
    storage.save(run, tmp_path)
    origins = [astuple(one.origin) for one in storage.load(tmp_path).measurements]
    first, second = [("a", "cuda:0", "GPU-a")] * 2, [("b", "cuda:0", "GPU-b")] * 2
    assert origins == first + second + first + second


def test_a_missing_shard_is_named_with_its_conditions():
    run, (missing,) = merge(runs(shard(1)))
    assert (missing.shard, missing.why) == ("2/2", "there is no run of it")
    assert missing.conditions == (GROUPS[1], GROUPS[3])
    assert run.ended == PARTIAL


def test_an_unfinished_shard_is_named_with_the_conditions_that_it_lacks():
    partial = shard(2, sizes=(16,), ended=PARTIAL)
    begun = replace(partial, measurements=(*partial.measurements, *measured(32, status=INTERRUPTED)))
    _, (missing,) = merge(runs(shard(1), begun))
    assert (missing.shard, missing.why, missing.conditions) == ("2/2", "shard-2 is partial", (GROUPS[3],))


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (shard(2, device_name="NVIDIA H200"), "GPU model: NVIDIA H100 and NVIDIA H200"),
        (shard(2, versions={**VERSIONS, "torch": "2.12.0"}), "version of torch: 2.13.0 and 2.12.0"),
        (replace(shard(2), settings=Settings(max_time=1.0)), "setting max_time: 15.0 and 1.0"),
        (replace(shard(2), plan={**shard(2).plan, "name": "others"}), "name: sizes and others"),
        (replace(shard(2), plan={**shard(2).plan, "conditions": GROUPS[:3]}), "conditions of the plan: "),
    ],
)
def test_what_cannot_be_compared_is_refused_with_both_values(other, named):
    with pytest.raises(ResultsError, match="shard-1 and shard-2 cannot be merged") as refused:
        merge(runs(shard(1), other))
    assert named in str(refused.value)


def test_a_condition_that_two_runs_measured_is_refused():
    with pytest.raises(ResultsError, match=f"shard-1 and shard-2 both measured {GROUPS[0]}"):
        merge(runs(shard(1), shard(1, host="b")))


def test_of_two_unfinished_runs_of_a_condition_the_one_with_more_is_kept():
    first, second = measured(8)
    lacking = replace(second, status=INTERRUPTED, readings=())
    more = replace(shard(1), measurements=(first, lacking), ended=INTERRUPTED)
    less = replace(more, measurements=(replace(first, status=INTERRUPTED, readings=()), lacking))
    for pair in ((more, less), (less, more)):
        assert merge(runs(*pair))[0].measurement(first.case) == first


def test_there_is_no_ratio_of_two_devices():
    run = shard(1)
    ours, theirs = measured(8), measured(8, host="b")
    mixed = replace(run, measurements=(ours[0], theirs[1]))
    assert mixed.ratio(theirs[1].case, "latency") is None
    assert replace(run, measurements=ours).ratio(ours[1].case, "latency").value == 1.0


def test_the_command_lists_what_is_missing_which_a_later_merge_fills(invoke, tmp_path):
    storage.save(shard(1, count=3), tmp_path / "s1")
    storage.save(shard(2, count=3), tmp_path / "s2")
    code, _, err = invoke("merge", "s1", "s2", "s3", "--output-dir", "all")
    assert code == 1
    assert "Left out: no stored run at s3" in err
    assert f"Incomplete, shard 3/3: there is no run of it\n  {GROUPS[2]}\n" in err
    storage.save(shard(3, count=3), tmp_path / "s3")
    assert invoke("merge", "all", "s3", "--output-dir", "all")[0] == 0
    assert storage.load(tmp_path / "all").ended == COMPLETE
