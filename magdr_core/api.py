"""Everything that a plugin imports from magdr, besides `magdr_core.functional`."""

from pydantic import Field

from magdr_core.components.batch import Batch, Samples, TensorCondition, VectorCondition
from magdr_core.components.batch import Condition as AnyCondition
from magdr_core.components.cells import PlannedCell, Portion, UnderAttack
from magdr_core.components.condition import CodedCondition, code_of
from magdr_core.components.factories import NamedFactory
from magdr_core.components.figure import Figure, Threshold
from magdr_core.components.forensics import ForensicData, Forged
from magdr_core.components.joint_objective import JointObjective
from magdr_core.components.kind import Kind
from magdr_core.components.params import DataPath, Eps, Factory, FromRegistry, Weights, WeightsFile
from magdr_core.components.protocols import (
    Attack,
    CalibratedDetector,
    Choice,
    Choosing,
    Chosen,
    Dataset,
    Defense,
    Detector,
    Family,
    FeatureSource,
    FitData,
    Gated,
    Generator,
    IdentityEncoder,
    ImageMap,
    Metric,
    Objective,
    PairedSplit,
    Parser,
    Setting,
    Split,
)
from magdr_core.components.recipe import Recipe
from magdr_core.components.regions import Regions
from magdr_core.components.rng import SampleRng
from magdr_core.components.role import Role
from magdr_core.components.scenario import Scenario
from magdr_core.components.slice import CLEAN, Measured, Slice
from magdr_core.components.specs import (
    AttackSpec,
    AugmentationSpec,
    ChannelSpec,
    ComponentSpec,
    DatasetSpec,
    DefenseSpec,
    DetectorSpec,
    FinderSpec,
    ForensicSpec,
    ForgerySpec,
    GeneratorSpec,
    IdentityEncoderSpec,
    MetricSpec,
    Need,
    ParserSpec,
    RestorationSpec,
    TrainedOn,
    stateless,
)
from magdr_core.components.task_run import Planning, SharedImages, TaskRun
from magdr_core.components.tensor_json import pack_tensors, unpack_tensors
from magdr_core.components.trial import Rule, Trial
from magdr_core.components.weights import load_state
from magdr_core.errors import ComponentError, DataError, MagdrError, WeightsError, suggestion
from magdr_core.files.remote_folder import folder_sha256
from magdr_core.files.user_files import read_json, text_lines, user_path
from magdr_core.guards import Guard
from magdr_core.hosting.hookspecs import hookimpl
from magdr_core.isolation.containment import notice
from magdr_core.magdr import FixedChain, MagDR, MagDRDetector, Outcome
from magdr_core.media import (
    PICTURE_SUFFIXES,
    VIDEO_SUFFIXES,
    Box,
    Cascade,
    FaceFinder,
    FoundFace,
    Picture,
    Video,
    face_cut,
    find_faces,
    read_picture,
    read_video,
    write_picture,
    write_video,
)

Condition = VectorCondition
"""What nearly every generator takes; `AnyCondition` is what one may take."""

__all__ = [
    "CLEAN",
    "PICTURE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "AnyCondition",
    "Attack",
    "AttackSpec",
    "AugmentationSpec",
    "Batch",
    "Box",
    "CalibratedDetector",
    "Cascade",
    "ChannelSpec",
    "Choice",
    "Choosing",
    "Chosen",
    "CodedCondition",
    "ComponentError",
    "ComponentSpec",
    "Condition",
    "DataError",
    "DataPath",
    "Dataset",
    "DatasetSpec",
    "Defense",
    "DefenseSpec",
    "Detector",
    "DetectorSpec",
    "Eps",
    "FaceFinder",
    "Factory",
    "Family",
    "FeatureSource",
    "Field",
    "Figure",
    "FinderSpec",
    "FitData",
    "FixedChain",
    "ForensicData",
    "ForensicSpec",
    "Forged",
    "ForgerySpec",
    "FoundFace",
    "FromRegistry",
    "Gated",
    "Generator",
    "GeneratorSpec",
    "Guard",
    "IdentityEncoder",
    "IdentityEncoderSpec",
    "ImageMap",
    "JointObjective",
    "Kind",
    "MagDR",
    "MagDRDetector",
    "MagdrError",
    "Measured",
    "Metric",
    "MetricSpec",
    "NamedFactory",
    "Need",
    "Objective",
    "Outcome",
    "PairedSplit",
    "Parser",
    "ParserSpec",
    "Picture",
    "PlannedCell",
    "Planning",
    "Portion",
    "Recipe",
    "Regions",
    "RestorationSpec",
    "Role",
    "Rule",
    "SampleRng",
    "Samples",
    "Scenario",
    "Setting",
    "SharedImages",
    "Slice",
    "Split",
    "TaskRun",
    "TensorCondition",
    "Threshold",
    "TrainedOn",
    "Trial",
    "UnderAttack",
    "VectorCondition",
    "Video",
    "Weights",
    "WeightsError",
    "WeightsFile",
    "code_of",
    "face_cut",
    "find_faces",
    "folder_sha256",
    "hookimpl",
    "load_state",
    "notice",
    "pack_tensors",
    "read_json",
    "read_picture",
    "read_video",
    "stateless",
    "suggestion",
    "text_lines",
    "unpack_tensors",
    "user_path",
    "write_picture",
    "write_video",
]
