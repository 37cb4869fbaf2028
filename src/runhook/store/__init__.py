"""Everything that is kept in the database; the only package that says SQL."""
