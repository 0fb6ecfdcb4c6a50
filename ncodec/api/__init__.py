"""What `import ncodec` gives: files as arrays, operations on paths, models by name."""
