"""The programs that are measured, each driven by the same lines on its standard input."""
