"""The program beside the work: one attempt, checkout to result. Imports nothing else of ours."""
