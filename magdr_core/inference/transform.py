"""MagDR as a step of somebody's pipeline: a picture in, the picture with its disrupted faces restored out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from magdr_core.components.batch import Condition
from magdr_core.errors import DataError
from magdr_core.inference.asked import Edits, Has
from magdr_core.inference.loaded import ALL, Wanted
from magdr_core.inference.module import RANGES, ValueRange
from magdr_core.inference.photos import Photo
from magdr_core.media.pictures import to_levels

Missing = Literal["keep", "raise"]
"""What becomes of a picture without a face: it is handed on as it came, or that is an error."""

MISSING: tuple[Missing, ...] = ("keep", "raise")

NO_FACE = "no face was found"

I = TypeVar("I", Image.Image, npt.NDArray[Any], Tensor)  # noqa: E741


class TransformingPipeline(Protocol):
    """What the transform asks of a pipeline; `recipe` makes it again in another process."""

    recipe: Callable[[], Any] | None

    def photos(
        self,
        pictures: Any,
        c: Condition | None = None,
        *,
        edits: Edits | None = None,
        has: Has = (),
        whole: bool = False,
        face: Wanted = ALL,
    ) -> Iterator[Photo]:
        """Judge and restore pictures."""


class MagDRTransform:
    """`transform(picture)` is the picture with its disrupted faces restored, of the type that came in.

    It takes PIL pictures, arrays `[H,W,3]` (uint8, or floats) and tensors `[3,H,W]` (uint8, or floats) of any
    size, as in torchvision's `Compose([..., transform, ToTensor()])`. Called by name,
    `transform(image=array)`, it gives a mapping, as a transform of Albumentations does, with everything else
    that it was told (`mask=...`) as it was; inside their `Compose` it is `Lambda(image=transform)`. A picture
    in which nothing is disrupted comes back as the same object. In a restored one, only the values that
    changed are others, in steps of 8 bits.

    It can be pickled, for a `DataLoader` whose workers are started anew; each makes its own pipeline, from
    the same registry, when it gets its first picture.

    Args:
        magdr: a pipeline (`toolkit.magdr(task)`).
        c, edits, has, whole, face: as of `Pipeline.photos`; `whole=True` for pictures that are face crops
            already.
        missing: what becomes of a picture without a face, "keep" or "raise".
        value_range: of float pictures: "unit" for [0,1], "symmetric" for [-1,1].

    Attributes:
        photo: what was decided about the last picture; None before, and in another process.

    Raises:
        DataError: no such range or `missing`; when called, a picture that cannot be used.
    """

    def __init__(
        self,
        magdr: TransformingPipeline,
        c: Condition | None = None,
        *,
        edits: Edits | None = None,
        has: Has = (),
        whole: bool = False,
        face: Wanted = ALL,
        missing: Missing = "keep",
        value_range: ValueRange = "unit",
    ) -> None:
        if missing not in MISSING:
            raise DataError(f"missing = {missing!r} is not one of {', '.join(MISSING)}")
        if value_range not in RANGES:
            raise DataError(f"value_range = {value_range!r} is not one of {', '.join(RANGES)}")
        if isinstance(has, Iterable) and not isinstance(has, Mapping | str):
            has = list(has)  # each picture reads it anew
        self._pipeline: TransformingPipeline | None = magdr
        self._recipe = magdr.recipe
        self.asked: dict[str, Any] = {"c": c, "edits": edits, "has": has, "whole": whole, "face": face}
        self.missing = missing
        self.value_range = value_range
        self.photo: Photo | None = None
        magdr.photos([], **self.asked)  # says at once what is wrong with the wish

    def __repr__(self) -> str:
        told = {name: self.asked[name] for name in ("edits", "has", "whole") if self.asked[name]}
        return f"<MagDRTransform {', '.join(f'{name}={value!r}' for name, value in told.items())}>"

    @property
    def magdr(self) -> TransformingPipeline:
        """The pipeline; made again where it is missing, in another process."""
        if self._pipeline is None:
            assert self._recipe is not None
            self._pipeline = self._recipe()
        return self._pipeline

    def __getstate__(self) -> dict[str, Any]:
        if self._recipe is None:
            raise DataError(
                "this transform cannot be pickled: its pipeline has components that only this process knows; "
                "put them into a file that the registry names under [plugins] local, or fork the workers"
            )
        return {**self.__dict__, "_pipeline": None, "photo": None}

    def __call__(self, picture: I | None = None, /, *, image: I | None = None, **others: Any) -> Any:
        """The restored picture; of `image=` a mapping with it and `others`."""
        if picture is not None:
            return self._restored(picture)
        if image is None:
            raise DataError("there is no picture: transform(picture), or transform(image=array)")
        return {**others, "image": self._restored(image)}

    def _restored(self, picture: I) -> I:
        given = self._readable(picture)
        (photo,) = self.magdr.photos([given], **self.asked)
        self.photo = photo
        if photo.error:
            if self.missing == "keep" and NO_FACE in photo.error:
                return picture
            raise DataError(photo.error)
        if photo.unchanged:
            return picture
        assert photo.levels is not None
        assert photo.restored_levels is not None
        return self._like(picture, photo.levels, photo.restored_levels)

    def _readable(self, picture: I) -> Image.Image | npt.NDArray[Any]:
        """What `photos` takes.

        Raises:
            DataError: something else than a picture.
        """
        if isinstance(picture, Image.Image):
            return picture
        if isinstance(picture, np.ndarray):
            return self._unit(picture) if np.issubdtype(picture.dtype, np.floating) else picture
        if isinstance(picture, Tensor):
            if picture.ndim != 3 or picture.shape[0] != 3:
                raise DataError(f"a transform takes one picture [3,H,W], got {tuple(picture.shape)}")
            if picture.dtype == torch.uint8:
                return to_levels(picture)
            if not picture.is_floating_point():
                raise DataError(f"a transform takes uint8 or floating-point tensors, got {picture.dtype}")
            return self._unit(picture.detach().float().permute(1, 2, 0).cpu().numpy())
        got = type(picture).__name__
        raise DataError(f"a transform takes a PIL picture, an array [H,W,3] or a tensor [3,H,W], got a {got}")

    def _unit(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return (values + 1) / 2 if self.value_range == "symmetric" else values

    def _like(self, picture: I, before: Tensor, after: Tensor) -> Any:
        """`after`, `[3,H,W]` uint8, as what came in; values that did not change are those that came in."""
        if isinstance(picture, Image.Image):
            made = Image.fromarray(to_levels(after))
            return made.convert("L") if picture.mode == "L" else made
        tensor = torch.from_numpy(picture).permute(2, 0, 1) if isinstance(picture, np.ndarray) else picture
        new = after.to(tensor.device)
        if tensor.is_floating_point():
            new = new.to(tensor.dtype) / 255
            new = new * 2 - 1 if self.value_range == "symmetric" else new
        done = torch.where((before != after).to(tensor.device), new, tensor.detach())
        if isinstance(picture, np.ndarray):
            return np.ascontiguousarray(done.permute(1, 2, 0).numpy())
        return done
