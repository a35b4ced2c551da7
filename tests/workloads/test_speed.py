from pathlib import Path

from rectok.workloads.speed import Speed, Spread, read_speeds
from tests.errors import user_error


def speed(work: str = "dit", variant: str = "cached latents", tflops: float | None = 100.0) -> Speed:
    return Speed(
        work=work, variant=variant, preset="digits", device="a GPU", torch="2", precision="bfloat16", compiled=True,
        batch=8, images_per_second=Spread(median=2.0, min=1.0, max=3.0), flops_per_image=1e9, tflops=tflops,
        peak_tflops=700.0, share_of_peak=0.1, peak_memory_gib=1.0, repeats=3, networks="random weights", error=None,
    )  # fmt: skip


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    records = [speed(), speed("encode", "decode")]
    paths = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    for path, record in zip(paths, records, strict=True):
        path.write_text(record.model_dump_json() + "\n")
    assert read_speeds(paths) == records


def test_a_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "speed.jsonl"
    path.write_text(speed().model_dump_json() + '\n{"work": "dit"}\n')
    with user_error(r"line 2 of .*speed\.jsonl is no record"):
        read_speeds([path])
    with user_error(r"absent\.jsonl cannot be read"):
        read_speeds([tmp_path / "absent.jsonl"])
