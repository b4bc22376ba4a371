"""The tables of a profile: where the time goes, in a model by stage, and what is alive at the peak of memory."""

from upsampler_bench.report import profiles
from upsampler_bench.results import Live, Part, Reading

PARTS = (
    Part("convolution", "convolution", "encoder.0", 4, 0.006),
    Part("softmax", "softmax", "head.up.softmax", 1, 0.002),
    Part("convolution", "convolution", "head.fuse", 1, 0.0015),
    Part("between operations", "between operations", "", 0, 0.0005),
)


def texts(rows):
    return {row.name: [cell.text for cell in row.cells] for row in rows}


def test_a_models_time_is_split_by_upsampler_and_submodule():
    assert texts(profiles._stages(PARTS, ["head.up"])) == {
        "encoder": ["6.0", "60"],
        "head.up": ["2.0", "20"],
        "head without upsamplers": ["1.5", "15"],
        profiles.OUTSIDE: ["0.50", "5.0"],
    }


def test_what_is_alive_at_the_peak_has_its_share_and_small_tensors_are_added_up():
    live = [Live("conv2d", "head", 8 * 2**20), *(Live("add", str(number), 2**19) for number in range(16))]
    rows = texts(profiles._live(live))
    assert rows["conv2d"] == ["head", "8.0", "50"]
    assert rows["9 others"] == ["–", "4.5", "28"]


def test_the_title_has_the_time_without_the_profiler():
    reading = Reading("profile", ((0.01,),), "", facts={"unrecorded": 0.0098}, parts=PARTS)
    assert profiles._times(reading) == "10 ms, without the profiler 9.8 ms"
    assert profiles._times(Reading("profile", ((0.01,),), "", parts=PARTS)) == "10 ms"
