"""What a stored run must share with a new one to be continued or reused."""

from dataclasses import replace
from importlib.metadata import version

import pytest
from sample_run import sample_run

from upsampler_bench import device
from upsampler_bench.device import environment
from upsampler_bench.runner import session


@pytest.mark.parametrize("key", ["cores", "memory", "architecture"])
def test_a_run_of_another_machine_whose_processor_has_the_same_name_is_not_reused(key):
    run = sample_run()
    where = replace(
        run.environment,
        device_name=device.label("cpu"),
        machine=environment.identity(),
        versions={"torch": version("torch")},
    )
    same = replace(run, environment=where)
    assert session.differing(same, {}, run.settings, "cpu") == []
    other = replace(where, machine={**where.machine, key: "another"})
    assert session.differing(replace(run, environment=other), {}, run.settings, "cpu") == [key]
