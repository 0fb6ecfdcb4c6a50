"""Many streams at once: a batch engine as a class, and the server over it."""
