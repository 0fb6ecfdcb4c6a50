"""`python -m ncodec`: the command."""

from ncodec_cli.main import main

if __name__ == "__main__":
    main()
