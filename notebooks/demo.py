"""Score a real frame with a real model on a local asynchronous endpoint, and check every row.

Run it with ``make demo``. It exits with status 1 if one prediction differs from the model's own.
"""

import json
import os
import sys
import time

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sm_async_nb  # noqa: F401  (registers df.sm_async)
from sm_async_nb.local import LocalEndpoint

ENDPOINT_NAME = "breast-cancer"


def patients(seed=0):
    """The 569 samples that scikit-learn ships, shuffled and labelled as a hospital might label them."""
    features, benign = load_breast_cancer(return_X_y=True, as_frame=True)
    labels = pd.Index([f"patient-{number:04d}" for number in range(len(features))], name="patient")
    order = np.random.default_rng(seed).permutation(len(features))
    return features.set_axis(labels).iloc[order], benign.set_axis(labels).iloc[order]


def serve(model):
    """A model server's answer to one record: the probability that the sample is benign, with all its digits."""

    def handler(body, content_type, accept):
        record = pd.DataFrame([json.loads(body)])
        return json.dumps({"probability": float(model.predict_proba(record)[0, 1])})

    return handler


def direct(model, features):
    """What the model says of each row by itself, without any endpoint."""
    return [float(model.predict_proba(features.iloc[[row]])[0, 1]) for row in range(len(features))]


def main():
    features, benign = patients()
    seen, unseen, seen_benign, unseen_benign = train_test_split(features, benign, test_size=0.3, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000)).fit(seen, seen_benign)

    with LocalEndpoint(serve(model), endpoint_name=ENDPOINT_NAME) as local:
        os.environ.update(local.environment)
        local.reset_calls()
        print(f"Scoring {len(features)} rows on the local endpoint {ENDPOINT_NAME!r}")
        started = time.perf_counter()
        job = features.sm_async.submit(ENDPOINT_NAME)
        job.wait()
        scored = features.join(job.results())
        seconds = time.perf_counter() - started
        calls = local.calls

    print(job)
    accuracy = ((scored.loc[unseen.index, "probability"] > 0.5) == unseen_benign.astype(bool)).mean()
    expected = pd.Series(direct(model, features), index=features.index)
    disagreeing = scored.index[scored["probability"] != expected]
    print(f"accuracy on the {len(unseen)} rows the model has not seen: {accuracy:.1%}")
    print(
        f"predictions that agree with the model called directly, to the last digit: "
        f"{len(scored) - len(disagreeing)} of {len(scored)}"
    )
    print(f"wall time, from the frame to the joined frame: {seconds:.1f} s")
    print("calls on the wire:")
    for operation, count in sorted(calls.items()):
        print(f"  {count:5d}  {operation}")
    if len(disagreeing):
        print(f"These rows disagree: {list(disagreeing[:10])}", file=sys.stderr)
    return 1 if len(disagreeing) or len(scored) != len(features) else 0


if __name__ == "__main__":
    sys.exit(main())
