"""How the tables came to be: one file in versions/ per revision, run by `store.schema`."""
