"""The command line: what it prints, what it writes, how it ends."""

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sample_choice import measured_run, probed_run
from sample_run import sample_run

from upsampler_bench import cli, storage
from upsampler_bench.errors import ResultsError

QUICK = ["--shape", "8x6x5", "--device", "cpu", "--max-time", "0.05", "--mode", "inference", "--target-ci", "0.5"]


pytestmark = pytest.mark.usefixtures("registry_restored")


@pytest.mark.slow
def test_run_writes_results_with_how_they_were_measured_and_every_format_and_prints_the_table(invoke, tmp_path):
    code, out, err = invoke("run", *QUICK, "-u", "dysample", "-u", "carafe", "--output-dir", "here", "--threads", 1)
    assert code == 0
    assert "dysample" in out
    assert "3 cases of 3 operators on cpu" in err
    written = {path.name for path in (tmp_path / "here").iterdir()}
    assert {"results.json", "report.csv", "report.md", "report.html", "panel.png"} <= written
    assert max(map(len, out.splitlines())) <= 80
    assert re.search(r"\nWrote \d+ files to here\nOpen here/report.html\n$", err)
    stored = storage.load(tmp_path / "here")
    assert (stored.settings.threads, stored.environment.machine["threads"]) == (1, "1")
    method = stored.measurements[0].reading("latency").method
    assert method.startswith("perf_counter around single calls, 1 thread")


def test_a_run_writes_into_a_folder_of_its_own_and_leaves_a_checkout_clean(invoke, here, tmp_path):
    def git(*arguments):
        done = subprocess.run(["git", "-C", tmp_path, *arguments], check=True, capture_output=True, text=True)
        return done.stdout

    git("init", "--quiet")
    (tmp_path / ".gitignore").write_text((Path(__file__).parents[3] / ".gitignore").read_text())
    committed = tmp_path / "reports" / "device" / "panel.png"
    committed.parent.mkdir(parents=True)
    committed.write_text("the committed picture")
    git("add", "--all")
    git("-c", "user.name=n", "-c", "user.email=e", "commit", "--quiet", "--message", "m")
    for _ in range(2):
        code, _, _ = invoke("run", *QUICK, "-u", "dysample", "--metrics", "latency", "-f", "csv", "-f", "png")
        assert code == 0
    first, second = sorted(path.name for path in (tmp_path / "runs").iterdir())
    for command in (
        ("report", f"runs/{first}", f"runs/{second}", "-f", "csv"),
        ("capabilities", "-u", "nearest", "--metrics", "bfloat16", "--device", "cpu", "-f", "csv"),
        ("run", *QUICK[2:], "--model", "stages(4x2x2/4)", "-u", "nearest", "--metrics", "params", "-f", "csv"),
    ):
        code, _, error = invoke(*command)
        assert code == 0, error
    assert git("status", "--porcelain") == ""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d{4}-paper", first)
    assert second != first
    assert {path.name for path in (tmp_path / "runs" / first).iterdir()} >= {"results.json", "report.csv", "panel.png"}


def test_report_without_an_argument_takes_the_newest_run(invoke, tmp_path):
    code, _, err = invoke("report", "-f", "csv")
    assert code == 2
    assert "no stored run in runs/; name one, such as reports/<device>" in " ".join(err.split())
    for output, started in (("newer", "2026-02-02T10:00:00+00:00"), ("older", "2026-01-01T10:00:00+00:00")):
        storage.save(replace(sample_run(), started=started), tmp_path / "runs" / output)
    code, _, err = invoke("report", "-f", "markdown")
    assert (code, err) == (0, "Wrote runs/newer/report.md\n")
    assert invoke("report", "--output-dir", "there", "-f", "csv", "-f", "markdown")[0] == 0
    assert {path.name for path in (tmp_path / "there").iterdir()} == {"report.csv", "published.csv", "report.md"}


def test_several_runs_are_reported_in_a_new_folder(invoke, tmp_path):
    for output in ("a", "b"):
        storage.save(sample_run(), tmp_path / output)
    (tmp_path / "a" / "report.csv").write_text("of a alone")
    code, _, _ = invoke("report", "a", "b", "-f", "csv")
    assert code == 0
    assert (tmp_path / "a" / "report.csv").read_text() == "of a alone"
    assert len([*tmp_path.glob("runs/*-report/report.csv")]) == 1


def test_resume_continues_the_newest_unfinished_run_of_the_plan(invoke, here, tmp_path):
    arguments = ("run", *QUICK, "--metrics", "params", "-u", "nearest", "-f", "csv")
    code, _, err = invoke(*arguments, "--resume")
    assert code == 2
    assert "no unfinished run of plan 'paper' in runs/; run without --resume" in " ".join(err.split())
    invoke(*arguments)
    (finished,) = (tmp_path / "runs").iterdir()
    unfinished = finished.with_name("unfinished")
    unfinished.mkdir()
    stored = json.loads((finished / "results.json").read_text())
    partial = {**stored, "ended": "partial", "measurements": stored["measurements"][:1]}
    (unfinished / storage.PARTIAL_FILE).write_text(json.dumps(partial))
    code, _, _ = invoke(*arguments, "--resume")
    assert code == 0
    assert len(storage.load(unfinished).measurements) == 2
    assert {path.name for path in unfinished.iterdir()} == {"results.json", "report.csv"}
    assert len([*(tmp_path / "runs").iterdir()]) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "reports/here", "-f", "csv", "-f", "markdown"),
        ("recommend", "--needs", "onnx"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_stored_runs_are_read_without_torch(tmp_path, arguments):
    storage.save(measured_run(), tmp_path / "reports" / "here")
    storage.save(replace(probed_run(), started="2999"), tmp_path / "reports" / "here" / "capabilities")
    code = (
        f"import sys\nfrom upsampler_bench import cli\nsys.argv = ['upsampler-bench', *{arguments}]\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert not {'torch', 'upsamplers', 'pandas', 'numpy', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "-u", "dysampel"), "no upsampler 'dysampel'; did you mean 'dysample'?"),
        (("run", "--shape", "256x120"), "shape is '256x120'; expected CxHxW"),
        (("run", "--device", "tpu"), "no device 'tpu'; expected auto, cpu, cuda or cuda:i"),
        (("run", "--device", "cuda:99"), "no device 'cuda:99': this machine has"),
        (("run", "--plugin", "nowhere.py"), "cannot load plug-in 'nowhere.py'"),
        (("run", "--plugin", "no.such.module"), "cannot load plug-in 'no.such.module'"),
        (("run", "--metrics", "latencies"), "no metric or capability 'latencies'; did you mean 'latency'?"),
        (("run", "-f", "markdwon"), "no format 'markdwon'; did you mean 'markdown'?"),
        (("run", "--output-dir", "/proc/nowhere"), "cannot write into /proc/nowhere"),
        (("run", "--resume", "--output-dir", "new"), "nothing to resume in new"),
        (("report", "nothing"), "no stored run at nothing"),
        (("doctor", "--device", "tpu"), "no device 'tpu'"),
        (("list", "--plugin", "nowhere.py"), "cannot load plug-in"),
        (("run", "-u", "dysample[group=4]"), "dysample has no option 'group'; its options: "),
        (("run", "--image", "64x64"), "no model is named; --guide-image is that of a guide"),
        (("run", "--model", "segformer-b1", "--shape", "8x6x5"), "in segformer-b1 the model decides, from --image"),
        (("quality", "--weights", "nothing.pth"), "--weights is 'nothing.pth': there is no such file"),
    ],
)
def test_misuse_is_one_sentence_and_exit_code_2(invoke, here, tmp_path, arguments, message):
    code, out, err = invoke(*arguments)
    assert code == 2
    assert message in " ".join(err.split())
    assert err.startswith("error: ")
    assert all(len(line) <= 80 for line in err.splitlines() if "/" not in line)
    assert "Traceback" not in out + err
    assert not list(tmp_path.glob("**/*.json"))
    assert not (tmp_path / "new").exists()


def test_a_plan_file_with_an_unknown_key_is_misuse(invoke, tmp_path):
    (tmp_path / "mine.toml").write_text('shap = "8x6x5"\n')
    code, _, err = invoke("run", "--plan", "mine.toml")
    assert (code, err) == (2, "error: no plan key 'shap'; did you mean 'shape'?\n")


def test_an_operator_that_refuses_or_fails_is_a_row_and_an_error_with_strict_only(invoke, here):
    arguments = ("run", *QUICK, "--shape", "6x5x4", "-u", "nearest", "-u", "dysample", "-u", "raises", "-f", "csv")
    code, out, _ = invoke(*arguments, "--metrics", "latency", "--output-dir", "here")
    assert code == 0
    assert "6 channels are not divisible by 4" in " ".join(out.split())
    assert "this operator has a bug" in " ".join(out.split())
    code, _, _ = invoke(*arguments, "--metrics", "latency", "--output-dir", "here", "--strict")
    assert code == 1


def test_a_backend_that_cannot_run_here_is_a_skipped_row_with_the_reason(invoke, here, monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    backends = ("--backend", "triton", "--backend", "torch")
    chosen = ("-u", "carafe", "-u", "dysample", "--metrics", "latency", "-f", "csv", "--output-dir", "here")
    code, out, err = invoke("run", *QUICK, *backends, *chosen)
    assert code == 0
    assert "5 cases of 3 operators on cpu" in err
    assert "carafe · triton skipped: carafe on backend triton needs cuda, not cpu" in out
    statuses = {(row.case.upsampler, row.case.backend): row.status for row in storage.load("here").measurements}
    assert statuses == {
        ("bilinear", "torch"): "measured",
        ("carafe", "torch"): "measured",
        ("carafe", "triton"): "skipped",
        ("dysample", "torch"): "measured",
        ("dysample", "triton"): "skipped",
    }
    code, _, err = invoke("run", *QUICK, *backends, *chosen, "--resume")
    assert (code, "[3/5]" in err) == (0, False)  # nothing is measured again


def test_it_is_exit_code_2_if_every_requested_operator_refuses_and_only_the_baseline_runs(invoke, here, tmp_path):
    arguments = ("run", "--shape", "6x5x4", *QUICK[2:], "-u", "dysample", "-u", "dysample+", "--metrics", "latency")
    code, _, err = invoke(*arguments)
    assert code == 2
    assert "error: nothing that was asked for could be measured\ndysample" in err
    assert "6 channels are not divisible by 4" in " ".join(err.split())
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.parametrize("content", ["{", '{"schema": 99}'])
def test_a_corrupt_or_newer_run_is_refused_and_left_alone(invoke, tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    code, _, err = invoke("report", "results.json")
    assert code == 2
    assert "results.json" in err
    assert (tmp_path / "results.json").read_text() == content


@pytest.mark.slow
def test_list_shows_every_operator_with_its_parameters(invoke):
    import upsamplers

    code, out, _ = invoke("list")
    assert code == 0
    assert set(upsamplers.names()) <= set(out.split())
    assert "2,359,296" in out
    assert {"auto", "compile", "torch", "triton"} <= {line.partition(" ")[0] for line in out.splitlines()}


@pytest.mark.slow
def test_list_says_why_an_operator_refuses(invoke):
    code, out, _ = invoke("list", "--channels", 6)
    assert code == 0
    assert "dysample: 6 channels are not divisible by 4" in " ".join(out.split())
    assert "…" not in out


def test_doctor_checks_everything_that_distorts_timings(invoke):
    code, out, _ = invoke("doctor", "--device", "cpu")
    assert code == 0
    for what in ("device", "threads", "governor", "load", "TF32", "torch", "NVML binding"):
        assert f"{what}:" in out


def has_readings(folder):
    try:
        return any(measurement.readings for measurement in storage.load(folder).measurements)
    except ResultsError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_what_was_measured_is_kept_when_a_signal_ends_the_run(tmp_path, sent):
    command = [sys.executable, "-m", "upsampler_bench", "run", *QUICK, "-u", "nearest", "--max-time", "20"]
    command += ["--metrics", "params", "--metrics", "latency", "--output-dir", tmp_path / "run", "-f", "csv"]
    command += ["--target-ci", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        while not has_readings(tmp_path / "run") and process.poll() is None:
            time.sleep(0.1)
        process.send_signal(sent)
        error = process.communicate()[1]
    assert process.returncode == 130, error
    assert "Interrupted" in error
    assert storage.load(tmp_path / "run").ended == "interrupted"


def test_what_nohup_ignores_stays_ignored(monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN), signal.getsignal(signal.SIGTERM)
    try:
        monkeypatch.setenv("MPLBACKEND", "agg")
        monkeypatch.setattr("sys.argv", ["upsampler-bench", "--version"])
        with pytest.raises(SystemExit):
            cli.main()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before[0])
        signal.signal(signal.SIGTERM, before[1])
