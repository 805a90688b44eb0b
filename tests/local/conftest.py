"""Tests that need somebody else's large package: each is skipped, and says so, where that is not installed."""

import pytest


def pytest_configure(config):
    config.addinivalue_line("markers", "sagemaker_sdk: needs the SageMaker Python SDK, version 2")
    config.addinivalue_line("markers", "mlflow: needs mlflow and scikit-learn")


def pytest_collection_modifyitems(items):
    # Their warnings are their own.
    for item in items:
        if {"sagemaker_sdk", "mlflow"} & {mark.name for mark in item.iter_markers()}:
            item.add_marker(pytest.mark.filterwarnings("ignore"))
