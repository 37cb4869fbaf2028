"""The published strict client of Saturn Cloud, `saturn-api`, against a real server."""
