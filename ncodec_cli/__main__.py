"""`python -m ncodec_cli` is `ncodec`."""

from ncodec_cli.main import main

if __name__ == "__main__":
    main()
