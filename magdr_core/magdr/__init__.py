"""The method of the paper: Eq. 4 to 9, calibration, Rec-Net (Algorithm 1) and the loop of Fig. 2."""

from magdr_core.magdr.detector import MagDRDetector
from magdr_core.magdr.fixed import FixedChain
from magdr_core.magdr.loop import MagDR
from magdr_core.magdr.outcome import Outcome
from magdr_core.magdr.recnet import RecNet
from magdr_core.magdr.verdict import Verdict

__all__ = ["FixedChain", "MagDR", "MagDRDetector", "Outcome", "RecNet", "Verdict"]
