"""Speed and container: that the figures are of what they say."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from ncodec.bench import container, speed
from ncodec_cli.bench import bench


def test_overhead_is_all_that_is_not_codes() -> None:
    found = container.measure_container(codebooks=8, packet_frames=75, seconds=60)
    assert found.size - found.seconds * 6000 / 8 == pytest.approx(found.overhead * 45000)
    assert 0 < found.overhead < 0.03  # what the format promises at 6 kbps and packets of a second
    small = container.measure_container(codebooks=8, packet_frames=1, seconds=2)
    assert small.overhead > 10 * found.overhead


def test_container_table_and_json() -> None:
    arguments = ["container", "--codebooks", "2", "--packet-frames", "4,75", "--seconds", "2"]
    done = CliRunner().invoke(bench, arguments)
    assert done.exit_code == 0, done.output
    assert len(done.output.strip().splitlines()) == 4
    done = CliRunner().invoke(bench, [*arguments, "--json"])
    assert [row["packet_frames"] for row in json.loads(done.output)] == [4, 75]


def timing(codec: str, block: int | None, real_time: float) -> speed.Speed:
    return speed.Speed(codec, "encode", block, 1, real_time, 1.0, 2.0, 13.3)


def test_ratios_are_to_the_package_on_the_same_work_and_threads() -> None:
    own, base = timing("ncodec_24khz", 75, 30.0), timing("encodec 0.1.1", None, 12.0)
    table = speed.to_markdown([own, base, replace(own, threads=2)]).splitlines()
    assert "| 30.0 | 2.50 |" in table[2]
    assert "| whole | 1 | 12.0 | 1.00 |" in table[3]
    assert "| 30.0 |  |" in table[4]


@pytest.mark.slow
def test_speeds_of_the_embedded_model_and_the_package() -> None:
    plan = speed.Plan("ncodec_24khz", seconds=0.16, threads=(1,), blocks=(4, 12), runs=1)
    speeds, left_out = speed.measure_speeds(plan)
    assert left_out == []
    assert [(s.codec.split()[0], s.work, s.block_frames) for s in speeds] == [
        *(("ncodec_24khz", work, 4) for work in ("encode", "decode")),
        *(("ncodec_24khz", work, 12) for work in ("encode", "decode")),
        *(("encodec_24khz", work, 4) for work in ("encode", "decode")),
        *(("encodec_24khz", work, 12) for work in ("encode", "decode")),
        *(("encodec", work, None) for work in ("encode", "decode")),
    ]
    assert all(s.real_time > 0 and s.block_ms <= s.late_ms for s in speeds)
    assert [s.budget_ms for s in speeds[::2]] == pytest.approx(
        [53.33, 160, 53.33, 160, 160], abs=0.01
    )
