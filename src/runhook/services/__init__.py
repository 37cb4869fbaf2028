"""The verbs: the one way anything is changed, whoever asks. A transaction comes first."""
