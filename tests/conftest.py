"""Drawn cases are the same in every run, so that a red run can be repeated; `HYPOTHESIS_PROFILE=search` draws new ones."""

import os

from hypothesis import settings

settings.register_profile("steady", derandomize=True)
settings.register_profile("search", derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))
