"""Hypothesis looks at the same examples each time and is not hurried, so that no run fails by chance."""

from hypothesis import settings

settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")
