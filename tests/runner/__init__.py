"""Tests of the runner's steps, with real git, real uv and real processes."""
