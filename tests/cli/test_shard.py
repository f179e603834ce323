"""magdr bench --shard: parts into the cache, then the tables."""

import pytest
from click.testing import CliRunner

from magdr_core.cli import cli
from tests.bench.conftest import SMALL


@pytest.fixture
def bench(tmp_path, monkeypatch):
    (tmp_path / "small.toml").write_text(SMALL)
    monkeypatch.chdir(tmp_path)
    return lambda *options: CliRunner().invoke(
        cli, ["bench", "small.toml", "--limit", "2", "--out", "run", *options]
    )


def test_shards_write_no_tables_and_the_last_run_computes_nothing(bench, tmp_path):
    for part in ("1/2", "2/2"):
        done = bench("--shard", part)
        assert done.exit_code == 0, done.output
        assert f"part {part[0]} of 2" in done.output
        assert not (tmp_path / "run").exists()
    done = bench()
    assert done.exit_code == 0, done.output
    assert " 0 cells computed" in f" {done.output}".replace("\n", " ")
    assert (tmp_path / "run" / "results.csv").is_file()


@pytest.mark.parametrize("value", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_a_shard_that_is_none_is_refused(bench, value):
    done = bench("--shard", value)
    assert done.exit_code == 2
    assert "is not I/N" in done.output
