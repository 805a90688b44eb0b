"""Tests that need somebody else's large package: each is skipped, and says so, where that is not installed.

With SKIPS_FAIL in the environment, as CI has it where the package was just installed, none may be skipped.
"""

import os

import pytest


def pytest_configure(config):
    config.addinivalue_line("markers", "sagemaker_sdk: needs the SageMaker Python SDK, version 2")
    config.addinivalue_line("markers", "mlflow: needs mlflow and scikit-learn")


def pytest_collection_modifyitems(items):
    # Their warnings are their own.
    for item in items:
        if {"sagemaker_sdk", "mlflow"} & {mark.name for mark in item.iter_markers()}:
            item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    report = yield
    if report.skipped and os.environ.get("SKIPS_FAIL"):
        report.outcome = "failed"
        report.longrepr = f"Skipped where SKIPS_FAIL is set, so it is missing or cannot be imported: {report.longrepr}"
    return report
