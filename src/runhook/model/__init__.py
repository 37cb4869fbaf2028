"""The nouns and their rules: no input or output, no framework but pydantic's validation."""
