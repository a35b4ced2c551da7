import shutil
from contextlib import chdir
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rectok import artifacts
from rectok.artifacts import Check, GateReport
from rectok.files import write_text
from rectok.reporting.comparison import measured_now
from rectok.reporting.report import loss_charts, render, stage_times, write
from rectok.reporting.summary import read_summary
from tests.evaluation import project

PAGE = "first.html"


def rendered(params: str = "") -> str:
    return render("digits", params, measured_now(read_summary(), "abc <1>"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished project with its page."""
    with chdir(folder := tmp_path_factory.mktemp("built")):
        project.build_results()
        artifacts.write_json(artifacts.classes_file(), ["red", "<b>green</b>", "blue"])
        write_text(
            artifacts.failed_tasks_file(),
            '{"stage": "shards@00001", "time": "2026-01-01 09:30", "lines": ["<no> room"]}\n{"st',
        )
        write_text(artifacts.throughput_file("dit"), '{"step": 9, "images_per_second": 250.0, "data_wait": 0.5}\n')
        write_text(folder / PAGE, rendered("seed: 0 # <script>"))
    return folder


@pytest.fixture
def page(built: Path, here: Path) -> str:
    """The page; the current folder is a copy of its project."""
    shutil.copytree(built, here, dirs_exist_ok=True)
    return (here / PAGE).read_text(encoding="utf-8")


def test_page_holds_figures_networks_protocol_gates_params_and_times(page: str) -> None:
    for text in (
        "27.50 dB", "regnetx_002 (a proxy)", "cfg, scale 1.5", "75.0%", "The metric network is a proxy: resnet10t trained here.",
        "layers of the teacher", "rectok: 16 tokens of 4 channels", "shards 00001", "1 WARN of 1", "2 checks at 2 gates",
        'WARN">1 WARN</span>', "1 min 05 s", "abc &lt;1&gt;",
        "shards@00001 <span class=\"small quiet\">2026-01-01 09:30 UTC</span></summary><pre>&lt;no&gt; room</pre>",
        "There is no dvc.lock", "250 images/s, 50.0% of the time waiting for data on this machine.",
    ):  # fmt: skip
        assert text in page
    assert page.count("data:image/png;base64,") == 5


def test_a_check_says_what_it_checks(page: str) -> None:
    what = "The distance of the averaged weights from the raw ones"
    assert what not in page
    artifacts.write_report(GateReport("dit", None, (Check("ema differs", True, "ERROR", 0.1, 1e-9, "", "≥"),), {}))
    assert what in rendered("")


def test_the_page_says_which_project_and_day_it_is_and_names_the_classes_of_rows(page: str, built: Path) -> None:
    assert f"<h1>{built.name}</h1>" in page
    assert f"RecTok report of {datetime.now(UTC).date().isoformat()}, preset digits" in page
    assert page.count('<span class="names"><span title="red">red</span><span title="&lt;b&gt;green') == 2


def test_the_page_shows_the_worst_image_and_the_most_confused_classes(page: str) -> None:
    assert "&lt;b&gt;green&lt;/b&gt;, 21.2 dB<br>00000001" in page
    assert "blue → red<br>3 of 5" in page
    assert page.count("The metric network sees the right class in every sample.") == 1


def test_where_there_are_no_labels_the_page_says_so(page: str) -> None:
    artifacts.write_json(artifacts.classes_file(), [artifacts.UNLABELLED])
    artifacts.write_json(artifacts.pictures_file("generation"), {"rows": [0], "confused": {"unguided": None}})
    record = artifacts.read_json(artifacts.record_file("probe"))
    record["metrics"] |= {"probe": None}
    artifacts.write_json(artifacts.record_file("probe"), record)
    worst = artifacts.read_json(artifacts.pictures_file("reconstruction"))["worst"]
    artifacts.write_json(artifacts.pictures_file("reconstruction"), {"worst": [{**each, "label": 0} for each in worst]})
    text = rendered()
    assert "The images are unlabelled, so all samples are of one class." in text
    assert "The images are unlabelled, so there is nothing to probe for." in text
    assert "unlabelled, 21.2 dB" in text and "Samples by class" not in text


def test_the_second_report_compares_with_the_first(page: str, here: Path) -> None:
    path = here / "page.html"
    write(path, "other", "seed: 0")
    assert "Previous run" not in path.read_text()
    record = artifacts.read_json(artifacts.record_file("reconstruction"))
    record["metrics"]["psnr"] += 0.25
    artifacts.write_json(artifacts.record_file("reconstruction"), record)
    for _ in range(2):  # the same run once more has the same page
        write(path, "other", "seed: 0")
        assert '<div>previous run 27.50 dB <span class="pass">(+0.25 dB)</span></div>' in path.read_text()


def test_only_the_tokenizer_of_the_paper_is_compared_with_what_is_published(page: str) -> None:
    assert "published 27.20 dB" in page
    config = artifacts.read_json(artifacts.config_file("tokenizer"))
    artifacts.write_json(artifacts.config_file("tokenizer"), {**config, "kind": "vae"})
    assert "published 27.20 dB" not in rendered()


def test_a_network_that_was_not_trained_here_names_its_weights(page: str) -> None:
    assert "Not trained here" not in page
    write_text(artifacts.log_file("dit"), "step,images,lr,total\n")
    artifacts.write_json(artifacts.summary_file("dit"), {"trained": False, "source": "s3://w/<dit>"})
    assert "Not trained here: taken from <code>s3://w/&lt;dit&gt;</code>." in rendered()


def test_text_from_elsewhere_is_escaped(page: str) -> None:
    assert "seed: 0 # &lt;script&gt;" in page
    assert "&lt;b&gt;green&lt;/b&gt;" in page
    assert "rows &lt;decode&gt;" in page
    assert "row 2 &amp; 3 do not" in page
    assert "<script" not in page


def test_one_chart_per_loss_and_late_losses_begin_late(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    write_text(log, "step,images,lr,total,never,late\n1,64,0.1,100,,\n2,128,0.1,3,,0.5\n3,192,0.1,1,,0.4\n")
    charts = loss_charts(log)
    assert [chart.title for chart in charts] == ["total loss", "late loss", "learning rate"]
    assert charts[0].note == "100 → 1, logarithmic"
    assert charts[1].note == "0.5 → 0.4"


def test_a_validation_curve_stands_behind_the_losses_and_says_what_it_is(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    write_text(log, "step,images,lr,total,val_psnr,grad_norm\n1,64,0.1,2,,3\n2,128,0.1,1,21.5,2\n")
    titles = [chart.title for chart in loss_charts(log)]
    assert titles == ["total loss", "gradient norm", "validation PSNR, dB", "learning rate"]


def test_stage_times_follow_the_pipeline_and_name_their_gates() -> None:
    times = stage_times({"tokenizer": 80.0, "gate-tokenizer": 2.0, "index": 4.0, "summary": 1.0})
    assert [(t.stage, t.taken, t.gate, t.share) for t in times] == [
        ("index", "4.0 s", "—", 5.0),
        ("tokenizer", "1 min 20 s", "2.0 s", 100.0),
    ]
