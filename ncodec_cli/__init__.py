"""The command line of ncodec: click commands, no logic of their own."""
