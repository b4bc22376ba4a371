"""The page in a real browser, one for all tests; skipped where there is none."""

import base64
import re

import pytest
from sample_page import NASTY, long_report, page_report, probed_run, stranger_report

from upsampler_bench import formats
from upsampler_bench.recommend import Criteria, recommend
from upsampler_bench.recommend.limits import parse as limit

pytest.importorskip("selenium", reason="needs selenium: pip install '.[dev]'")

from page_browser import CHROMIUM, DRIVER, Browser, start
from selenium.webdriver import Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver on the PATH"),
]
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    pages = {}
    for name, made in (("ours", page_report()), ("stranger", stranger_report()), ("long", long_report())):
        (pages[name],) = formats.write(made, folder / name, ["html"])
    driver = start(folder / "profile")
    yield Browser(driver, pages)
    driver.quit()


@pytest.fixture
def browser(session):
    """The page with two devices; whatever a test does, the console stays clean."""
    session.problems()
    session.requests()
    yield session.open()
    assert session.problems() == []


def test_every_picture_is_drawn_and_nothing_is_asked_of_a_network(browser):
    browser.draw_all()
    assert browser.run("return document.querySelectorAll('.plot').length") > 10
    assert browser.run("return [...document.querySelectorAll('.plot')].every((it) => it.querySelector('svg.main-svg'))")
    assert {url.split(":")[0] for url in browser.requests()} <= {"file", "blob", "data"}
    assert browser.run("return performance.getEntriesByType('resource').length") == 0


def test_the_page_works_before_the_drawing_library_is_unpacked(browser):
    assert browser.run("return performance.getEntriesByName('interactive').length") == 1
    assert browser.run("return document.title").startswith("Feature upsamplers on")
    assert browser.run("return document.documentElement.lang") == "en"


def test_a_click_on_a_header_sorts_up_down_and_back(browser):
    before = browser.names()
    header = browser.find("table.measured th:nth-child(2)")
    button = header.find_element(By.TAG_NAME, "button")
    button.click()
    assert header.get_attribute("aria-sort") == "ascending"
    assert browser.names()[0] == "nearest"
    assert browser.names()[-1] == "mine", "what has no number comes last"
    button.click()
    assert browser.names()[0] == "pixel-shuffle"
    assert browser.names()[-1] == "mine"
    button.click()
    assert browser.names() == before
    assert header.get_attribute("aria-sort") == "none"


def test_the_keyboard_alone_reaches_a_header_and_sorts_by_it(browser):
    active = browser.driver.switch_to.active_element
    active.send_keys(Keys.TAB)
    assert browser.run("return document.activeElement.className") == "skip"
    for _ in range(40):
        browser.driver.switch_to.active_element.send_keys(Keys.TAB)
        if browser.run("return document.activeElement.matches('.measured th:nth-child(2) .sort')"):
            break
    assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") != "none"
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert browser.find("table.measured th:nth-child(2)").get_attribute("aria-sort") == "ascending"
    assert browser.names()[0] == "nearest"


def test_no_control_keeps_the_focus(browser):
    browser.draw_all()
    browser.run("window.seen = new Set(); addEventListener('focusin', (event) => seen.add(event.target))")
    last = "[...document.querySelectorAll('button, input, select, summary, a[href], [tabindex=\"0\"]')]"
    last += ".filter((one) => one.checkVisibility()).at(-1)"
    for _ in range(20):
        browser.driver.switch_to.active_element.send_keys(Keys.TAB * 20)
        if browser.run(f"return seen.has({last})"):
            break
    assert browser.run(f"return seen.has({last})"), "the last control is reached"


def test_rows_are_filtered_by_text_by_family_and_by_device(browser):
    browser.find("#find").send_keys("out of memory")
    assert browser.names() == ["carafe"]
    browser.find("#find").clear()
    Select(browser.find("#family")).select_by_visible_text("dysample")
    assert browser.names() == ["dysample", "dysample+", "dysample-s", "dysample-s+", "dysample-naive"]
    Select(browser.find("[data-condition=device]")).select_by_visible_text("Other CPU")
    shown = browser.run("return [...document.querySelectorAll('[data-table]')].map((one) => one.hidden)")
    assert shown == [True, False, True], "tables of measurements come first"
    assert browser.find("#shown").text == "5 of 35 rows shown"


def test_details_are_hidden_behind_a_switch(browser):
    cell = browser.find("table.measured td.detail")
    assert not cell.is_displayed()
    browser.find("#details").click()
    assert cell.is_displayed()


def test_the_chooser_names_the_best_and_says_what_it_does_not_know(browser):
    assert "dysample-s+: 43.58 % mIoU, the best of all" in browser.find("#chosen").text
    browser.find("#choose-latency").send_keys("2")
    assert "Choose dysample+: 43.28 % mIoU" in browser.find("#chosen").text
    assert "latency: fails (5): bicubic, deconv" in browser.find("#unfit").text
    assert "pixel-shuffle" not in browser.names()
    browser.find("#choose-onnx").click()
    assert "Choose dysample: 43.21 % mIoU" in browser.find("#chosen").text
    said = browser.find("#unfit").text
    assert "ONNX export: fails (1): dysample+." in said
    assert "ONNX export: unknown (2): nearest, dysample-s." in said
    assert "Not measured here (1): mine." in said
    browser.find("#choose-narrow").click()
    assert "pixel-shuffle" in browser.names()
    browser.find("#choose-memory").send_keys("1")
    assert browser.find("#chosen").text.startswith("No operator passes.")


def test_bars_change_between_absolute_and_times_the_baseline(browser):
    browser.draw_all()
    chart = "document.querySelector('.chart .plot')"
    value = f"{chart}.data[0].x[1]"
    before = browser.run(f"return {value}")
    browser.find("[data-show=ratio]").click()
    browser.until(f"{value} === 1")
    assert before > 8
    assert "Latency: 0." in browser.run(f"return {chart}.data[0].hovertext[0]")
    assert browser.run(f"return {chart}.layout.xaxis.title.text") == "relative to bilinear, log scale"
    browser.find("[data-show=absolute]").click()
    browser.until(f"{value} === {before}")


def test_the_free_scatter_takes_any_two_columns_ratios_and_logs(browser):
    browser.draw_all()
    titles = "['xaxis', 'yaxis'].map((one) => document.getElementById('explore-plot').layout[one].title.text)"
    assert browser.run(f"return {titles}") == ["Latency (ms), log scale", "Published mIoU (%)"]
    Select(browser.find("#explore-x")).select_by_visible_text("Weights")
    browser.until(f"{titles}[0] === 'Weights, log scale'")
    assert "nearest" in browser.find("#explore-said").text
    browser.find("#explore-x-log").click()
    Select(browser.find("#explore-y")).select_by_visible_text("Inference memory (MiB)")
    browser.find("#explore-ratio").click()
    browser.until(f"{titles}[1].endsWith('/ bilinear')")
    assert "Weights is not relative: bilinear has 0." in browser.find("#explore-said").text
    assert browser.run("return document.getElementById('explore-plot').layout.xaxis.type") == "linear"
    data = browser.run("const {x, y, text} = document.getElementById('explore-plot').data[0]; return [x, y, text]")
    assert dict(zip(data[2], data[1], strict=True))["pixel-shuffle"] == 2.0


def test_a_click_in_the_legend_hides_a_curve_and_its_points(browser):
    browser.draw_all()
    plots = "[...document.querySelectorAll('.plot')].find((plot) => plot.querySelector('.legend'))"
    visible = f"{plots}._fullData.filter((trace) => trace.visible === true).length"
    before = browser.run(f"return {visible}")
    toggle = browser.run(f"return {plots}.querySelector('.legendtoggle')")
    browser.run("arguments[0].scrollIntoView({ block: 'center' })", toggle)
    toggle.click()
    browser.until(f"{visible} === {before - 2}")


def test_dark_is_a_switch_away_and_the_pictures_follow(browser):
    browser.draw_all()
    look = (
        "[getComputedStyle(document.body).backgroundColor, document.querySelector('.plot')._fullLayout.paper_bgcolor]"
    )
    browser.find("#theme").click()
    assert browser.run(f"return {look}") == ["rgb(22, 25, 30)", "#16191e"]
    assert browser.find("#theme").text == "Light"
    browser.find("#theme").click()
    assert browser.run(f"return {look}") == ["rgb(255, 255, 255)", "#ffffff"]


def test_the_system_may_ask_for_dark(browser):
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [dark]})
    assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(22, 25, 30)"
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("name", ["ours", "stranger"])
def test_a_phone_never_scrolls_the_page_sideways(browser, name):
    browser.open(name)
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    browser.draw_all()
    assert browser.run("return [innerWidth, document.documentElement.scrollWidth]") == [390, 390]


def test_paper_is_light_shows_every_table_whole_and_no_controls(browser):
    browser.draw_all()
    browser.find("#theme").click()
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.run("return [...document.querySelectorAll('.controls, .bar')].every((it) => !it.checkVisibility())")
    assert browser.run("return getComputedStyle(document.querySelector('.scroll')).overflow") == "visible"
    assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run("return document.querySelector('.plot')._fullLayout.paper_bgcolor") == "#ffffff"
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert browser.run("return document.documentElement.dataset.theme") == "dark"
    printed = browser.driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    assert base64.b64decode(printed["data"]).startswith(b"%PDF")


def test_what_a_stranger_says_runs_nowhere_and_is_read_as_it_is(browser):
    browser.open("stranger").draw_all()
    for selector in ("#explore-x", "#explore-y"):
        Select(browser.find(selector)).select_by_index(2)
    assert browser.run("return window.pwned === undefined")
    active = "main img, main script, svg a, [onerror], [onmouseover]"
    assert browser.run("return document.querySelectorAll(arguments[0]).length", active) == 0
    assert browser.run("return [...document.links].every((one) => one.getAttribute('href').startsWith('#'))")
    assert set(browser.names()) >= set(NASTY)
    drawn = browser.run("return [...document.querySelectorAll('.chart .ytick text')].map((one) => one.textContent)")
    assert "{{ 7*7 }}{% raw %}%{x}&l…gt;" not in drawn
    assert any(one.startswith("<img src=x") for one in drawn)
    assert any(one.startswith("{{ 7*7 }}") for one in drawn)


def test_a_strangers_hover_is_text_too(browser):
    browser.open("stranger").draw_all()
    traces = "[...document.querySelectorAll('.plot')].flatMap((one) => one.data)"
    texts = browser.run(f"return {traces}.flatMap((it) => [it.hovertext ?? [], it.text ?? [], it.name ?? []].flat())")
    assert texts
    assert all(tag in ("<br>", "<b>", "</b>") for text in texts for tag in re.findall(r"<[^>]*>?", text))


def test_a_long_page_loads_rows_when_their_table_is_near_and_filters_them_before(browser):
    browser.open("long")
    last = "[...document.querySelectorAll('[data-table]')].at(-1)"
    assert browser.run("return document.querySelectorAll('tbody > template').length") == 22
    assert browser.run(f"return {last}.querySelector('tbody').rows.length") == 0
    assert browser.find("#shown").text == "156 of 156 rows shown"
    browser.find("#find").send_keys("carafe")
    assert browser.find("#shown").text == "52 of 156 rows shown"
    browser.run(f"{last}.scrollIntoView()")
    browser.until(f"{last}.querySelector('tbody').rows.length === 3")
    assert browser.names(51) == ["carafe"]
    browser.find("#find").clear()
    browser.find("#find").send_keys(" ")
    browser.run(f"{last}.querySelectorAll('.sort')[1].click()")
    assert browser.names(51)[0] == "nearest"


def test_paper_has_the_rows_of_a_long_page(browser):
    browser.open("long")
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run("return document.querySelectorAll('[data-table] tbody tr').length") == 156
    browser.run("dispatchEvent(new Event('afterprint'))")


@pytest.mark.parametrize(
    ("limits", "needs"),
    [
        ({}, ()),
        ({"latency": "1.6x"}, ("onnx_export",)),
        ({"latency": "1.355x"}, ()),
        ({"memory": "62MiB"}, ()),
        ({"latency": "14x", "memory": "170MiB"}, ("onnx_export",)),
    ],
)
def test_the_chooser_recommends_what_the_command_recommends(browser, limits, needs):
    run = probed_run()
    criteria = Criteria(tuple(limit(name, text, name) for name, text in limits.items()), needs=needs)
    choice = recommend([run], criteria)[0]
    for name, text in limits.items():
        browser.find(f"#choose-{name}").send_keys(text.rstrip("xMiB"))
    if needs:
        browser.find("#choose-onnx").click()
    rows = browser.driver.find_elements(By.CSS_SELECTOR, "#fitting tbody tr .name")
    # Without a number an operator was not measured, and the page does not offer it.
    passing = [one.name for one in choice.with_result("passes") if one.name != "mine"]
    assert {row.text for row in rows} == set(passing)
    assert passing == [] or browser.find("#chosen b").text == choice.best.name
    listed = browser.find("#unfit").text
    for one in choice.with_result("borderline"):
        assert re.search(rf"borderline \(\d+\): [^.]*{re.escape(one.name)}", listed)
