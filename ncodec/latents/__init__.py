"""Models over latents: Musika's idea (Pasini and Schlueter 2022), as streams."""
