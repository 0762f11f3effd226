"""What an author has to mend: located faults, and what each of their codes means."""

from engine.problems.declared import Code, Severity
from engine.problems.located import Place, Problem, Problems, ProblemsFound, did_you_mean

__all__ = ["Code", "Place", "Problem", "Problems", "ProblemsFound", "Severity", "did_you_mean"]
