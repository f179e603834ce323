"""Everything that a plugin imports from magdr, besides `magdr_core.functional`."""

from pydantic import Field

from magdr_core.errors import ComponentError, DataError, MagdrError, WeightsError, suggestion
from magdr_core.hookspecs import hookimpl
from magdr_core.magdr import FixedChain, MagDR, MagDRDetector, Outcome
from magdr_core.params import Eps, Weights
from magdr_core.protocols import (
    Attack,
    CalibratedDetector,
    Dataset,
    Defense,
    Detector,
    Family,
    FeatureSource,
    FitData,
    Generator,
    ImageMap,
    Metric,
    Objective,
    PairedSplit,
    Parser,
    Setting,
    Split,
)
from magdr_core.rng import SampleRng
from magdr_core.specs import (
    AttackSpec,
    AugmentationSpec,
    DatasetSpec,
    DefenseSpec,
    DetectorSpec,
    GeneratorSpec,
    MetricSpec,
    Need,
    ParserSpec,
    RestorationSpec,
    stateless,
)
from magdr_core.types import Batch, Condition, Samples
from magdr_core.weights import load_state

__all__ = [
    "Attack",
    "AttackSpec",
    "AugmentationSpec",
    "Batch",
    "CalibratedDetector",
    "ComponentError",
    "Condition",
    "DataError",
    "Dataset",
    "DatasetSpec",
    "Defense",
    "DefenseSpec",
    "Detector",
    "DetectorSpec",
    "Eps",
    "Family",
    "FeatureSource",
    "Field",
    "FitData",
    "FixedChain",
    "Generator",
    "GeneratorSpec",
    "ImageMap",
    "MagDR",
    "MagDRDetector",
    "MagdrError",
    "Metric",
    "MetricSpec",
    "Need",
    "Objective",
    "Outcome",
    "PairedSplit",
    "Parser",
    "ParserSpec",
    "RestorationSpec",
    "SampleRng",
    "Samples",
    "Setting",
    "Split",
    "Weights",
    "WeightsError",
    "hookimpl",
    "load_state",
    "stateless",
    "suggestion",
]
