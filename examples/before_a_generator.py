"""MagDR as a layer before a generator inside somebody's model.

    python examples/before_a_generator.py

The model here works on [-1,1] and hands its generator a condition vector, as most public code does.
"""

import torch
from torch import Tensor, nn

from magdr_core import Toolkit


class Editor(nn.Module):
    """Somebody's pipeline: a generator between other steps."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        edited = self.generator(x, target)
        return torch.nn.functional.interpolate(edited, scale_factor=2)


def main() -> None:
    toolkit = Toolkit.from_registry()
    magdr = toolkit.magdr("editing", photographs=False)
    layer = magdr.as_module(value_range="symmetric")
    editor = Editor(layer)  # where the bare generator stood

    faces = toolkit.build("dataset", "faces").split("test")[[0, 1]]
    x = faces.images * 2 - 1
    names = magdr.generator.condition_names
    before = torch.stack([faces.attributes[name] for name in names], 1)
    target = before.clone()
    smiling = names.index("Smiling")
    target[:, smiling] = 1 - target[:, smiling]

    y = editor(x, target)
    print("output", tuple(y.shape), "in", [round(float(v), 2) for v in y.aminmax()])
    print("decided", [str(verdict) for verdict in layer.outcome.verdicts])

    # Which entries are an edit follows from `before`; without it every entry that is not 0 counts as one.
    restored, condition = layer.defended(x, target, before)
    print(
        "edited entries", [[n for n, on in zip(names, row, strict=True) if on] for row in condition.changed]
    )
    print("same picture for the generator:", torch.equal(restored, x))


if __name__ == "__main__":
    main()
