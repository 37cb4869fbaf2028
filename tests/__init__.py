"""Tests of Runhook; the folders mirror `src/runhook`, `stories/` holds whole runs."""
