"""The pages under /dash: HTML made here, working without JavaScript and live with it."""
