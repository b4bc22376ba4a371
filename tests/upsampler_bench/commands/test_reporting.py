"""Reports of stored runs: what they take in besides the runs, and what the command says at its end."""

import json
import re
from dataclasses import replace

import pytest
from sample_choice import measured_run, probed_run

from upsampler_bench import storage
from upsampler_bench.commands import reporting

pytestmark = pytest.mark.slow


def chooser(page):
    """By operator, what the page's chooser knows of exporting to ONNX."""
    data = json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)[1])
    return {operator["name"]: dict(operator["capabilities"]).get("onnx_export") for operator in data["operators"]}


@pytest.mark.parametrize("beside", ["reports/device/capabilities", "here/capabilities"])
def test_the_page_takes_in_the_capabilities_that_stand_beside_the_run(invoke, tmp_path, beside):
    run, tested = measured_run(), probed_run()
    where = replace(tested.environment, device_name=run.environment.device_name)
    storage.save(run, tmp_path / "here")
    invoke("report", "here", "-f", "html")
    assert set(chooser((tmp_path / "here" / "report.html").read_text()).values()) == {None}
    storage.save(replace(tested, environment=where), tmp_path / beside.replace("device", where.slug))
    invoke("report", "here", "-f", "html")
    page = (tmp_path / "here" / "report.html").read_text()
    assert chooser(page)["bilinear"] is True
    assert f"tested on {where.device_name} on" in page


def test_capabilities_of_another_device_are_not_taken_in(invoke, tmp_path):
    run, tested = measured_run(), probed_run()
    storage.save(run, tmp_path / "here")
    elsewhere = replace(tested.environment, device_name="Another")
    storage.save(replace(tested, environment=elsewhere), tmp_path / "here" / "capabilities")
    invoke("report", "here", "-f", "html")
    assert set(chooser((tmp_path / "here" / "report.html").read_text()).values()) == {None}


def test_a_report_draws_no_picture_after_its_deadline_and_says_how_to_draw_them(tmp_path, capsys):
    (tmp_path / "panel.png").write_bytes(b"of another run")
    reporting.report([measured_run()], tmp_path, ["csv", "png"], deadline=0.0)
    assert "panel.png" not in {path.name for path in tmp_path.iterdir()}
    err = " ".join(capsys.readouterr().err.split())
    assert re.search(r"panel\.png, .*no time left; 'upsampler-bench report .*' draws them\.", err), err
