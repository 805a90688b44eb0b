"""What the scene asserts is explained as fully as what a test asserts, and Hypothesis is as steady as the clock."""

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("integration.scene")

settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")
