//! Runs one job from its plan: steps, output, caches, artifacts, results.
