"""What each figure in docs/measurements.md comes from; one command each."""
