"""Stored runs: round trip, old and new files, what is no run at all, and finding the newest."""

import json
from dataclasses import replace

import pytest
from sample_run import sample_run

from upsampler_bench import storage
from upsampler_bench.errors import OutputError, ResultsError


def test_a_run_survives_its_file(tmp_path):
    run = sample_run()
    assert storage.load(storage.save(run, tmp_path)) == run
    assert storage.load(storage.save(run, tmp_path / "other.json")) == run


def test_what_a_later_release_added_is_left_aside(tmp_path):
    data = json.loads(storage.save(sample_run(), tmp_path).read_text())
    data["weather"] = "fine"
    data["settings"]["telepathy"] = True
    data["measurements"][0]["case"]["colour"] = "red"
    (tmp_path / "results.json").write_text(json.dumps(data))
    assert storage.load(tmp_path) == sample_run()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "cannot read"),
        ("{", "cannot read"),
        ("[]", "has no schema version"),
        ('{"schema": "x"}', "has no schema version"),
        ('{"schema": 99}', "has schema 99; this version reads up to 2"),
        ('{"schema": 1}', "is incomplete or corrupt: 'settings' is missing"),
        ("\x00\x01", "cannot read"),
    ],
)
def test_what_is_no_run_is_refused_in_one_sentence(tmp_path, content, message):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(ResultsError) as error:
        storage.load(tmp_path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_truncated_file_is_refused(tmp_path):
    path = storage.save(sample_run(), tmp_path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ResultsError, match="cannot read"):
        storage.load(path)


def test_a_missing_run_says_what_writes_one(tmp_path):
    with pytest.raises(ResultsError, match=r"no stored run at .*upsampler-bench run"):
        storage.load(tmp_path)


def test_a_failed_write_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = storage.save(sample_run(), tmp_path)
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OutputError, match="No space left"):
        storage.save(sample_run(), tmp_path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["results.json"]


def test_a_folder_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        storage.save(sample_run(), tmp_path / "file" / "below")


def test_the_frame_is_tidy_and_in_base_units():
    frame = storage.to_frame(sample_run())
    assert not frame.duplicated(["upsampler", "mode", "batch", "channels", "height", "width", "dtype", "metric"]).any()
    row = frame[(frame.upsampler == "bilinear") & (frame.metric == "latency")].iloc[0]
    assert row.unit == "s"
    assert row.ratio == 1.0
    assert set(frame[frame.status == "failed"].reason) - {""}


def test_every_run_gets_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [storage.new_folder("paper") for _ in range(3)]
    assert len(set(folders)) == 3
    assert all(folder.is_dir() and folder.parent == storage.RUNS and "-paper" in folder.name for folder in folders)
    (tmp_path / "elsewhere").write_text("")
    monkeypatch.setattr(storage, "RUNS", tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="cannot write into"):
        storage.new_folder("paper")


def test_the_newest_run_is_found_by_its_date(tmp_path):
    run, runs = sample_run(), tmp_path / "runs"
    storage.save(replace(run, started="2026-02"), runs / "a")
    storage.save(replace(run, started="2026-03", ended="partial"), runs / "b" / storage.PARTIAL_FILE)
    storage.save(replace(run, started="2026-04"), runs / "a" / "nested")
    storage.save(run, runs / "corrupt").write_text("{")
    folder, newest = storage.newest_run(runs)
    assert (folder, newest.started) == (runs / "b", "2026-03")
    assert storage.newest_run(runs, nested=True)[0] == runs / "a" / "nested"
    assert storage.newest_run(runs, suits=lambda run: run.ended == "complete")[0] == runs / "a"
    assert storage.newest_run(tmp_path / "nowhere") is None
