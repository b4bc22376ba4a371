"""The command line: what it prints, what it writes, how it ends."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = str(Path(__file__).parents[1] / "bad_plugins.py")
QUICK = ["--shape", "8x6x5", "--device", "cpu", "--max-time", "0.05", "--mode", "inference", "--target-ci", "0.5"]


pytestmark = [pytest.mark.usefixtures("registry_restored"), pytest.mark.slow]


def test_run_writes_results_and_every_format_and_prints_the_table(invoke, tmp_path):
    code, out, err = invoke("run", *QUICK, "-u", "dysample", "-u", "carafe", "--output-dir", "here")
    assert code == 0
    assert "dysample" in out
    assert "3 cases of 3 operators on cpu" in err
    written = {one.name for one in (tmp_path / "here").iterdir()}
    assert {"results.json", "report.csv", "report.md", "panel.png", "panel.svg"} <= written
    assert max(map(len, out.splitlines())) <= 80


def test_a_report_is_redrawn_without_torch(invoke, tmp_path):
    invoke("run", *QUICK, "-u", "nearest", "--metrics", "latency", "--output-dir", "here")
    code = (
        "import sys\nfrom upsampler_bench import cli\n"
        "sys.argv = ['upsampler-bench', 'report', 'here', '--output-dir', 'there', '-f', 'csv', '-f', 'markdown']\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert not {'torch', 'upsamplers', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert {one.name for one in (tmp_path / "there").iterdir()} == {"report.csv", "report.md"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "-u", "dysampel"), "no upsampler 'dysampel'; did you mean 'dysample'?"),
        (("run", "--shape", "256x120"), "shape is '256x120'; expected CxHxW"),
        (("run", "--dtype", "float8"), "dtype is 'float8'; expected float32"),
        (("run", "--plan", "papr"), "no plan 'papr'; did you mean 'paper'"),
        (("run", "--device", "tpu"), "no device 'tpu'; there are auto, cpu, cuda"),
        (("run", "--device", "cuda:99"), "device 'cuda:99' asked for, but"),
        (("run", "--plugin", "nowhere.py"), "cannot load plug-in 'nowhere.py'"),
        (("run", "--plugin", "no.such.module"), "cannot load plug-in 'no.such.module'"),
        (("run", "--metrics", "latencies"), "no metric 'latencies'; did you mean 'latency'?"),
        (("run", "-f", "markdwon"), "no format 'markdwon'; did you mean 'markdown'?"),
        (("run", "--output-dir", "/proc/nowhere"), "cannot write into /proc/nowhere"),
        (("run", "--resume", "--output-dir", "new"), "nothing to resume in new"),
        (("report", "nothing"), "no stored run at nothing"),
        (("doctor", "--device", "tpu"), "no device 'tpu'"),
        (("list", "--plugin", "nowhere.py"), "cannot load plug-in"),
    ],
)
def test_misuse_is_one_sentence_and_exit_code_2(invoke, tmp_path, arguments, said):
    code, out, err = invoke(*arguments)
    assert code == 2
    assert said in " ".join(err.split())
    assert err.startswith("error: ")
    assert all(len(line) <= 80 for line in err.splitlines() if "/" not in line)
    assert "Traceback" not in out + err
    assert not list(tmp_path.glob("**/*.json"))


def test_a_plan_file_with_an_unknown_key_is_misuse(invoke, tmp_path):
    (tmp_path / "mine.toml").write_text('shap = "8x6x5"\n')
    code, _, err = invoke("run", "--plan", "mine.toml")
    assert (code, err) == (2, "error: no plan key 'shap'; did you mean 'shape'?\n")


def test_an_operator_that_refuses_or_fails_is_a_row_and_only_strict_minds(invoke):
    arguments = ("run", *QUICK, "--shape", "6x5x4", "-u", "dysample", "--plugin", PLUGIN, "-u", "raises", "-f", "csv")
    code, out, _ = invoke(*arguments, "--metrics", "latency", "--output-dir", "here")
    assert code == 0
    assert "6 channels are not divisible by 4" in " ".join(out.split())
    assert "this operator has a bug" in " ".join(out.split())
    code, _, _ = invoke(*arguments, "--metrics", "latency", "--output-dir", "here", "--strict")
    assert code == 1


def test_nothing_measured_is_exit_code_2_and_leaves_the_old_run(invoke, tmp_path):
    invoke("run", *QUICK, "-u", "nearest", "--metrics", "latency", "--output-dir", "here")
    before = (tmp_path / "here" / "results.json").read_bytes()
    arguments = ("run", *QUICK, "-u", "raises", "--plugin", PLUGIN, "--baseline", "", "--output-dir", "here")
    code, _, err = invoke(*arguments)
    assert code == 2
    assert "nothing could be measured" in err
    assert (tmp_path / "here" / "results.json").read_bytes() == before


@pytest.mark.parametrize("content", ["{", '{"schema": 99}'])
def test_a_corrupt_or_newer_run_is_refused_and_left_alone(invoke, tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    code, _, err = invoke("report", "results.json")
    assert code == 2
    assert "results.json" in err
    assert (tmp_path / "results.json").read_text() == content


def test_list_shows_every_operator_with_its_parameters(invoke):
    import upsamplers

    code, out, _ = invoke("list")
    assert code == 0
    assert set(upsamplers.names()) <= set(out.split())
    assert "2,359,296" in out


def test_list_says_why_an_operator_refuses(invoke):
    code, out, _ = invoke("list", "--channels", 6)
    assert code == 0
    assert "dysample: 6 channels are not divisible by 4" in " ".join(out.split())
    assert "…" not in out


def test_doctor_looks_at_everything_that_makes_figures_wrong(invoke):
    code, out, _ = invoke("doctor", "--device", "cpu")
    assert code == 0
    for what in ("device", "threads", "governor", "load", "TF32", "torch", "NVML binding"):
        assert f"{what}:" in out


def test_the_stored_run_tells_how_it_was_measured(invoke, tmp_path):
    invoke("run", *QUICK, "-u", "nearest", "--metrics", "latency", "--output-dir", "here", "--threads", 1)
    stored = json.loads((tmp_path / "here" / "results.json").read_text())
    assert stored["settings"]["threads"] == 1
    assert stored["environment"]["machine"]["threads"] == "1"
    assert stored["measurements"][0]["readings"][0]["method"].startswith("perf_counter around single calls, 1 thread")
