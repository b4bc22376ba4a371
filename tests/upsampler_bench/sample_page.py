"""Reports for the page in a browser: probed, of two devices, with every kind of picture, and from a stranger."""

from dataclasses import replace

from sample_run import ENVIRONMENT, FIGURES, METRICS, plain_run, sample_run

from upsampler_bench import report
from upsampler_bench.case import Case
from upsampler_bench.paper.parts import PublishedCell, PublishedRow, PublishedTable
from upsampler_bench.report.parts import Report
from upsampler_bench.report.pictures import Axis, Plane, Point, Polyline
from upsampler_bench.results import Measurement, MetricInfo, Reading, Run, UpsamplerInfo

NASTY = (
    "<img src=x onerror=window.pwned=1>",
    "</script><script>window.pwned=1</script>",
    "<a href='javascript:window.pwned=1'>click</a>",
    "\"><b onmouseover='window.pwned=1'>",
    "{{ 7*7 }}{% raw %}%{x}&lt;i&gt;",
    "__proto__",
    "<!--<script>\u2028\u2029",
    "x" * 200,
)
PROBES = tuple(
    MetricInfo(name, title, "bool", "probe", lower_is_better=False, exact=True)
    for name, title in (("onnx_export", "ONNX"), ("deterministic", "same bits"))
)


def probed_run() -> Run:
    """The sample's operators: dysample+ cannot be exported, dysample-s was not tried, for nearest it does not apply."""
    run = sample_run()
    infos = tuple(UpsamplerInfo(name, needs_guide=name == "carafe", paper="somebody") for name in FIGURES)
    run = replace(run, metrics=(*METRICS, *PROBES), upsamplers=infos)
    for name in FIGURES:
        if name == "dysample-s":
            continue
        samples = () if name == "nearest" else ((0.0 if name == "dysample+" else 1.0,),)
        answers = Reading("onnx_export", samples, "exported"), Reading("deterministic", ((1.0,),), "twice")
        run = run.with_measurement(Measurement(Case(name, "probe"), readings=answers))
    return run


def page_report() -> Report:
    """Two devices, probes, all kinds of pictures and a published table."""
    other = replace(plain_run(FIGURES), environment=replace(ENVIRONMENT, device_name="Other CPU"))
    made = report.from_runs([probed_run(), other])
    drawn = drawings(("dysample", "carafe", "nearest"))
    return replace(made, pictures=(*made.pictures[:2], *drawn), published=(held(),))


def long_report() -> Report:
    """More tables than a page loads at once."""
    run = plain_run({name: FIGURES[name] for name in ("bilinear", "carafe", "nearest")})
    cases = [replace(one, case=replace(one.case, height=height)) for height in range(8, 60) for one in run.measurements]
    return replace(report.from_run(replace(run, measurements=tuple(cases))), pictures=())


def stranger_report() -> Report:
    """Whatever a file may say is an attack: names, reasons, versions, titles, units, conditions."""
    nasty = NASTY[1]
    figures = {"bilinear": FIGURES["bilinear"], **dict.fromkeys(NASTY, FIGURES["carafe"])}
    run = plain_run(figures)
    metrics = tuple(replace(one, title=f"{one.title} {NASTY[0]}", description=nasty) for one in METRICS)
    where = replace(ENVIRONMENT, device_name=NASTY[2], versions={nasty: NASTY[0]}, machine={NASTY[3]: nasty})
    infos = tuple(UpsamplerInfo(name, paper=nasty) for name in figures)
    run = replace(run, metrics=metrics, environment=where, upsamplers=infos, ended=nasty)
    broken = tuple(
        replace(one, status="failed", reason=NASTY[0] + nasty, readings=())
        if one.case == Case(NASTY[3], "train")
        else replace(one, readings=tuple(replace(two, method=nasty, notes=(NASTY[0],)) for two in one.readings))
        for one in run.measurements
    )
    made = report.from_run(replace(run, measurements=broken))
    return replace(made, pictures=(*made.pictures[:2], *drawings(NASTY)), published=(held(*NASTY[:2]),))


def drawings(names: tuple[str, ...]) -> tuple[Plane, Plane]:
    """Planes with everything that a plane may have; all text in them begins with a name."""
    text = names[0]
    x, y = Axis(text, text, log=True, ticks=((1.0, text), (2.0, "60²"))), Axis(text, text)
    points = tuple(
        Point(name, 1.0 + at, 40.0 + at, f"{name} 5 %", at, (0.9 + at, 1.1 + at), (39.0, 99.0), hollow, not at, text)
        for hollow in (False, True)
        for at, name in enumerate(names)
    )
    curves = tuple(
        Polyline(((1.0, 41.0), (2.0, 44.0 + at)), name, f"{name}, slope 1.00") for at, name in enumerate(names)
    )
    front = Polyline(((1.0, 41.0), (2.0, 40.0)), dashed=True, steps=True)
    return (
        Plane("bubble", text, text, x, y, points, (front,), text, (text, text), text),
        Plane("sweep", text, text, x, y, points, curves, caption=text),
    )


def held(name: str = "dysample", why: str = "counted at its output") -> PublishedTable:
    """Two figures, four verdicts and a gap."""
    cells = (
        PublishedCell("GFLOPs", "+0.3", "+0.31", 0.3, 0.31, "+3 %", "reproduced"),
        PublishedCell("mIoU (%)", "43.21", verdict="needs training"),
    )
    others = (PublishedCell("GFLOPs", "+34.4", "+9", 34.4, 9.0, "−74 %", "differs", why),)
    lost = (PublishedCell("mIoU (%)", "42.82", verdict="not measured", why="no run of it"),)
    rows = (PublishedRow(name, cells), PublishedRow("deconv", others), PublishedRow("carafe", lost))
    return PublishedTable("table4", f"Table 4 {name}", why, ("GFLOPs", "mIoU (%)"), rows)
