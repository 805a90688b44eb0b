"""The faces: they read snapshots and call Job's methods, hold no state and decide nothing."""
