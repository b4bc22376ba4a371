"""What a stored run must share with a new one to be continued or reused."""

from dataclasses import replace
from importlib.metadata import version

import pytest
from sample_run import sample_run

from upsampler_bench import device, plan
from upsampler_bench.device import environment
from upsampler_bench.runner import session


@pytest.mark.parametrize("key", ["cores", "memory", "architecture"])
def test_a_run_of_another_machine_whose_processor_has_the_same_name_is_not_reused(key):
    run = sample_run()
    here = {"device_name": device.label("cpu"), "machine": environment.identity()}
    where = replace(run.environment, **here, versions={"torch": version("torch")})
    same = replace(run, environment=where)
    assert session.differing(same, {}, run.settings, "cpu") == session.differing(same, {}, run.settings, "cpu:0") == []
    other = replace(where, machine={**where.machine, key: "another"})
    assert session.differing(replace(run, environment=other), {}, run.settings, "cpu") == [key]
    bound = session.differing(replace(run, environment=other), {}, run.settings, "cpu:0")
    assert bound == ([] if key == "cores" else [key])


def test_a_folder_with_the_suffix_of_a_file_is_a_folder(tmp_path):
    writer = session.ResultWriter(tmp_path / "run.json")
    writer.folder.mkdir()
    writer.finish(sample_run())
    assert session.storage.load(writer.folder) == sample_run()


@pytest.mark.parametrize(("upsampler", "named"), [("*", False), ("naf", True)])
def test_a_wildcard_times_no_operator_guided_by_an_image(upsampler, named):
    ready = session.prepare(plan.parse({"upsampler": [upsampler], "device": "cpu", "mode": "inference"}))
    names = {case.upsampler for case in ready.cases}
    assert "bilinear" in names
    assert ("naf" in names) == named
