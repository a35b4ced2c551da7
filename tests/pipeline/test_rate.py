"""Words about the rate of a group of stages."""

from rectok.pipeline.rate import SPEAK_EVERY, Rate


def test_it_says_the_rate_now_and_then() -> None:
    progress = Rate("shards", 30, began=0.0)
    assert progress.line(1, SPEAK_EVERY / 2) == ""
    assert progress.line(10, SPEAK_EVERY) == "shards: 10 of 30 done, 1.0 per second, 20 s left"
    assert progress.line(12, SPEAK_EVERY + 1) == ""
    assert Rate("shards", 30, began=0.0).line(0, 40.0) == "shards: 0 of 30 done, 0.0 per second"
