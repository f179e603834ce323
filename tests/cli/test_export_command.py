"""`magdr export`, from the command line."""

from __future__ import annotations

from pathlib import Path

from tests.bench.conftest import SMALL
from tests.edits import edited

RESTORING = edited(SMALL, ('defenses = ["magdr", "jpeg", "fixed-chain"]', 'defenses = ["jpeg"]'))


def test_export_writes_a_folder_and_says_what_is_in_it(magdr):
    Path("small.toml").write_text(RESTORING)
    arguments = ("export", "small.toml", "--out", "out", "--limit", "1", "--device", "cpu")
    done = magdr(*arguments)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1] == "out: 2 triples, 2 pictures restored now, 0 parts failed"
    assert sorted(p.name for p in Path("out").iterdir()) == [
        *("README.md", "SHA256SUMS", "card.json", "editing-seed0", "registry.toml", "triples.csv")
    ]
    assert "out: 2 triples, 0 pictures restored now" in magdr(*arguments).out
    refused = magdr(*arguments, "--defense", "identity")
    assert refused.code == 2
    assert refused.err == "magdr: out holds another export; choose a new folder\n"
    unknown = magdr(*arguments[:3], "new", "--defense", "jpg")
    assert unknown.code == 2
    assert "jpg" in unknown.err
    assert not Path("new").exists()
