"""An executed notebook as HTML: read, made safe, cell by cell."""
