"""Scoring of sampled and edited images: classifiers, the metric, and what the *_fid scripts do."""
