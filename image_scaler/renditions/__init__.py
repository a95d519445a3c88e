"""What to make of a source: pure, without I/O and without libvips."""
