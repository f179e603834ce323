import numpy as np
import pytest
from safetensors import SafetensorError

from magdr_core.results.cell import CellResult
from magdr_core.results.run_folder import VALUES
from magdr_core.results.values import CellValues
from tests.run_files import load_values, save_values

FACTS = {
    **{"task": "editing", "generator": "toy", "dataset": "faces", "attack": "pgd", "slice_role": "attack"},
    **{"eps": 0.02, "steps": 3, "knowledge": "none", "role": "defense", "component": "jpeg", "seed": 0},
}


def cell(key="k", **more):
    values = {"mse_o": [0.1, 2.0 / 3.0], "score": [1.0, float(np.float32(0.1))]}
    return {"key": key, "facts": FACTS, "ids": ["a", "b"], "identities": [7, 7], "values": values, **more}


def test_values_come_back_exactly(tmp_path):
    save_values(
        tmp_path,
        [cell(thresholds={"fpr": 0.3}, fpr=0.01), cell("other"), {"key": "", "facts": FACTS, "error": "x"}],
    )
    found = load_values(tmp_path)
    assert set(found) == {"k", "other"}
    own = found["k"]
    assert own.ids == ("a", "b")
    assert own.identities.tolist() == [7, 7]
    assert {name: v.tolist() for name, v in own.values.items()} == cell()["values"]
    assert own.thresholds == {"fpr": 0.3}
    assert own.fpr == 0.01
    assert found["other"].fpr is None


def test_what_32_bits_hold_takes_32_bits(tmp_path):
    values = np.random.default_rng(0).random(4000).astype(np.float32).tolist()
    ids = [str(i) for i in range(4000)]
    many = {"ids": ids, "identities": list(range(4000))}
    single = [cell(str(k), values={"mse_o": values}, **many) for k in range(10)]
    save_values(tmp_path, single)
    assert (tmp_path / VALUES).stat().st_size < 10 * 4000 * 4 + 120_000, "names of samples are there once"
    assert load_values(tmp_path)["3"].values["mse_o"].tolist() == values


@pytest.mark.parametrize("keep", [0, 20, 200])
def test_a_cut_file_is_noticed(tmp_path, keep):
    save_values(tmp_path, [cell()])
    path = tmp_path / VALUES
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises((SafetensorError, ValueError, KeyError, OSError)):
        load_values(tmp_path)


def test_a_stored_cell_gives_the_same(tmp_path):
    save_values(tmp_path, [cell()])
    stored = CellValues.of(CellResult.from_json(cell()))
    assert stored.values["mse_o"].tolist() == load_values(tmp_path)["k"].values["mse_o"].tolist()
