"""What `ncodec bench` measures and how it tells it; the command line only calls this."""
