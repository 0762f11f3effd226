"""A second opinion on matching by an independent engine, over the subset it can judge."""

from engine.simulate.oracle.second import Difference, OracleGone, SecondOpinion
from engine.simulate.oracle.subset import question_of

__all__ = ["Difference", "OracleGone", "SecondOpinion", "question_of"]
