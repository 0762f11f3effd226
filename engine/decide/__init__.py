"""Deciding: a pure function from rule set, case, memory and instant to a decision."""

from engine.decide.decision import Decision, decide
from engine.decide.match import Pass
from engine.decide.memory import Memory

__all__ = ["Decision", "Memory", "Pass", "decide"]
