"""A plugin's author checks for CUDA without a card."""

import pytest

from tests.edits import edited

MIXING = '''
"""A metric that makes a table on the host."""
import torch
from magdr_core.api import MetricSpec, hookimpl, stateless
from magdr_core.functional import masked_mean

MAGDR_API = 1


def weighed(a, b, masks):
    """Mean absolute change, green counts twice. [B,3,H,W] twice, [B,N,H,W] -> [B,N]."""
    weights = torch.tensor([0.25, 0.5, 0.25])[:, None, None]
    return masked_mean((weights * (a - b)).abs(), masks)


@hookimpl
def magdr_metrics():
    return [MetricSpec(name="weighed", build=stateless(weighed))]
'''


@pytest.mark.slow
def test_plugins_check_finds_mixed_devices_without_a_card(magdr, tmp_path):
    plugin = tmp_path / "acme_weighed.py"
    plugin.write_text(MIXING)
    assert magdr("plugins", "check", plugin).code == 0
    done = magdr("plugins", "check", plugin, "--device", "fake-cuda", "--json")
    assert done.code == 1
    assert [f["rule"] for f in done.document["findings"]] == ["output"]
    assert "same device" in done.document["findings"][0]["message"]
    plugin.write_text(edited(MIXING, ("0.25])[", "0.25], device=a.device)[")))
    assert magdr("plugins", "check", plugin, "--device", "fake-cuda").code == 0
